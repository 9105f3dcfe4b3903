//! `mask`, `unmask`.

use libreg::{
    Access, BASE_LAYER, CandidateContent, Explanation, Key, Registry, SetValue, TOMBSTONE, fold,
};

use super::changes::{Changes, Failed};
use super::{Session, value_name};
use crate::cli::Mask;
use crate::exit::{Code, Failure};

/// How often what somebody else writes at the same time may keep us from unmasking.
const ATTEMPTS: usize = 16;

pub fn mask(session: &mut Session, options: &Mask) -> Result<(), Failure> {
    let path = session.path(&options.path)?.key()?;
    let layer = options.layer.layer.as_deref();
    let key = session.registry()?.open_key(&path, Access::SET_VALUE)?;
    match &options.name {
        Some(name) => key.set_tombstone(value_name(name, options.literal), layer)?,
        None => key.set_blanket(layer)?,
    }
    Ok(())
}

pub fn unmask(session: &mut Session, options: &Mask) -> Result<(), Failure> {
    let path = session.path(&options.path)?.key()?;
    let layer = options.layer.layer.as_deref();
    let Some(name) = &options.name else {
        let key = session.registry()?.open_key(&path, Access::SET_VALUE)?;
        return Ok(key.clear_blanket(layer)?);
    };
    let name = value_name(name, options.literal);
    let mut attempts = 0;
    loop {
        let changes = Changes::begin(session, [path.as_str()])?;
        remove_tombstone(changes.registry(&path), &path, name, layer)?;
        attempts += 1;
        match changes.commit() {
            Err(failed) if is_conflict(&failed) && attempts < ATTEMPTS => {}
            outcome => return Ok(outcome?),
        }
    }
}

fn is_conflict(failed: &Failed) -> bool {
    matches!(&failed.failure, Failure::Registry(error) if error.is_conflict())
}

/// Removes the layer's tombstone, on the condition that it is one when this takes effect: deleting takes no
/// condition, so it is written again first.
fn remove_tombstone(
    registry: &Registry,
    path: &str,
    name: &str,
    layer: Option<&str>,
) -> Result<(), Failure> {
    let key = registry.open_key(path, Access::SET_VALUE | Access::QUERY_VALUE)?;
    match entry(&key.explain_value(name)?, layer) {
        Entry::Data => {
            let layer = layer.unwrap_or(BASE_LAYER);
            let name = crate::output::value_name(name);
            let what =
                format!("the layer {layer} has a value {name}, which unmask does not remove");
            return Err(Failure::Partial { subject: path.to_owned(), what, code: Code::Other });
        }
        // The transaction's own, on whatever condition it was written.
        Entry::Tombstone(0) => {}
        Entry::Tombstone(sequence) => expect(&key, name, layer, sequence)?,
        // There may be one that the caller is not told of.
        Entry::None => expect(&key, name, layer, 0)?,
    }
    Ok(key.delete_value(name, layer)?)
}

fn expect(key: &Key, name: &str, layer: Option<&str>, sequence: u64) -> Result<(), Failure> {
    let how = SetValue { layer, expected_sequence: Some(sequence) };
    key.set_value(name, TOMBSTONE, &[], &how)?;
    Ok(())
}

/// What a layer has for a value's name.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    None,
    Data,
    /// With its sequence number.
    Tombstone(u64),
}

fn entry(explanation: &Explanation, layer: Option<&str>) -> Entry {
    let layer = fold(layer.unwrap_or(BASE_LAYER));
    let of_layer = explanation.candidates.iter().filter(|found| fold(&found.layer) == layer);
    let own = of_layer.filter(|found| found.content != CandidateContent::Blanket);
    own.map(|found| match found.content {
        CandidateContent::Tombstone => Entry::Tombstone(found.sequence),
        _ => Entry::Data,
    })
    .next()
    .unwrap_or(Entry::None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use libreg::{Candidate, Verdict};

    fn candidate(layer: &str, sequence: u64, content: CandidateContent) -> Candidate {
        let verdict = Verdict::Wins;
        Candidate { layer: layer.into(), precedence: Some(0), sequence, content, verdict }
    }

    #[test]
    fn a_blanket_is_no_entry_of_a_name_and_data_is_no_tombstone() {
        let data = CandidateContent::Value { value_type: 1, data: vec![], size: 0 };
        let explanation = Explanation {
            candidates: vec![
                candidate("Policy", 9, CandidateContent::Blanket),
                candidate("policy", 7, CandidateContent::Tombstone),
                candidate("role", 8, CandidateContent::Blanket),
                candidate("base", 3, data),
            ],
        };
        assert_eq!(entry(&explanation, Some("POLICY")), Entry::Tombstone(7));
        assert_eq!(entry(&explanation, Some("role")), Entry::None);
        assert_eq!(entry(&explanation, None), Entry::Data);
    }
}
