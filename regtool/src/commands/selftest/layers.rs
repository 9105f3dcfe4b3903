//! What layers say, and who wins.

use libredox::errno::{EEXIST, EINVAL, ENOENT};
use libreg::{Access, BASE_LAYER, CandidateContent, CreateKey, Explanation, Verdict};

use super::expect::{Outcome, differs, refused, same};
use super::ground::{Ground, set_text, text};

const ALL: Access = Access::KEY_ALL_ACCESS;

pub fn layers(ground: &Ground) -> Outcome {
    let key = ground.key("layers")?;
    set_text(&key, "both", "of base", None)?;
    let layer = ground.layer("role", true)?;
    let named = Some(layer.as_str());
    set_text(&key, "both", "of the layer", named)?;
    set_text(&key, "one", "of the layer", named)?;
    let in_layer = CreateKey { layer: named, ..CreateKey::default() };
    let child = key.create_key("Child", ALL, &in_layer)?;
    same("what was written last", text(&key, "both")?, "of the layer")?;
    same("its layer", key.value("both")?.layer, layer.as_str())?;
    ground.enable(&layer, false)?;
    same("without the layer", text(&key, "both")?, "of base")?;
    refused("a key of a layer that is disabled", key.open_key("Child", ALL), ENOENT)?;
    ground.enable(&layer, true)?;
    same("with the layer", text(&key, "both")?, "of the layer")?;
    key.open_key("Child", ALL)?;
    set_text(&key, "both", "of base again", None)?;
    same("what was written last", text(&key, "both")?, "of base again")?;
    drop(child);
    ground.delete_layer(&layer)?;
    refused("a value of a deleted layer", key.value("one"), ENOENT)?;
    refused("a key of a deleted layer", key.open_key("Child", ALL), ENOENT)?;
    refused("writing into a deleted layer", set_text(&key, "one", "", named), ENOENT)
}

pub fn tombstones(ground: &Ground) -> Outcome {
    let key = ground.key("tombstones")?;
    let layer = ground.layer_or_base("tombstones")?;
    let layer = layer.as_deref();
    set_text(&key, "masked", "of base", None)?;
    set_text(&key, "other", "of base", None)?;
    key.set_tombstone("masked", layer)?;
    refused("a masked value", key.value("masked"), ENOENT)?;
    same("another value", text(&key, "other")?, "of base")?;
    let names: Vec<_> =
        key.values().map(|value| value.map(|value| value.name)).collect::<Result<_, _>>()?;
    same("the values", names, ["other"])?;
    key.delete_value("masked", layer)?;
    match layer {
        Some(_) => same("a value that is masked no longer", text(&key, "masked")?, "of base"),
        // The tombstone took the place of the value.
        None => refused("a value that was replaced", key.value("masked"), ENOENT),
    }
}

pub fn blankets(ground: &Ground) -> Outcome {
    let key = ground.key("blankets")?;
    let layer = ground.layer_or_base("blankets")?;
    let layer = layer.as_deref();
    set_text(&key, "masked", "of base", None)?;
    key.set_blanket(layer)?;
    refused("a value under a blanket", key.value("masked"), ENOENT)?;
    set_text(&key, "later", "text", layer)?;
    same("a value written later", text(&key, "later")?, "text")?;
    key.clear_blanket(layer)?;
    same("a value under a blanket no longer", text(&key, "masked")?, "of base")
}

pub fn hidden(ground: &Ground) -> Outcome {
    let key = ground.key("hidden")?;
    let child = key.create_key("Child", ALL, &CreateKey::default())?;
    refused("hiding a key in its own layer", child.hide(None), EEXIST)?;
    let layer = ground.layer("hidden", true)?;
    child.hide(Some(&layer))?;
    refused("a hidden key", key.open_key("Child", ALL), ENOENT)?;
    same("the number of keys below", super::keys::names_below(&key)?.len(), 0)?;
    key.unhide("Child", Some(&layer))?;
    key.open_key("Child", ALL)?;
    refused("a key that is not hidden", key.unhide("Child", Some(&layer)), EINVAL)
}

pub fn explain(ground: &Ground) -> Outcome {
    let key = ground.key("explain")?;
    set_text(&key, "value", "of base", None)?;
    key.create_key("Child", ALL, &CreateKey::default())?;
    let layer = ground.layer_or_base("explain")?;
    let layer = layer.as_deref();
    key.set_tombstone("value", layer)?;
    let told = |explanation: Explanation| -> Vec<(String, Verdict)> {
        let candidates = explanation.candidates.into_iter();
        candidates.map(|candidate| (candidate.layer, candidate.verdict)).collect()
    };
    let explanation = key.explain_value("value")?;
    let winner = explanation.candidates.first().map(|candidate| &candidate.content);
    same("what wins", winner, Some(&CandidateContent::Tombstone))?;
    let mut expected = vec![(layer.unwrap_or(BASE_LAYER).to_owned(), Verdict::Wins)];
    expected.extend(layer.map(|_| (BASE_LAYER.to_owned(), Verdict::Older)));
    same("the layers with a say", told(explanation), expected)?;
    let child = key.explain_child("child")?;
    match child.candidates.as_slice() {
        [only] if matches!(only.content, CandidateContent::Key(_)) => {}
        other => return Err(differs(format_args!("a key's explanation: {other:?}"))),
    }
    same("what nobody has a say about", told(key.explain_value("nothing")?), [])
}
