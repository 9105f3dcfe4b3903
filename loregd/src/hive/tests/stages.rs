//! Steps whose mutations were sent ahead.

use super::damage::on_failing_disk;
use super::*;

impl Fixture {
    fn stage(&mut self, stage: u64, mutations: Vec<Mutation>) {
        assert_eq!(self.hive.answer(&Request::Stage { stage, mutations }), Ok(Answer::Done));
    }

    fn drop_stage(&mut self, stage: u64) {
        assert_eq!(self.hive.answer(&Request::DropStage { stage }), Ok(Answer::Done));
    }

    fn apply_stage(
        &mut self,
        stage: u64,
        first_sequence: u64,
        conditions: Vec<Condition>,
    ) -> Result<Answer, SourceError> {
        let changes = Changes::Stage(stage);
        self.hive.answer(&Request::Apply { conditions, changes, first_sequence })
    }
}

const APPLIED: Result<Answer, SourceError> = Ok(Answer::Applied { first_sequence: None });

#[test]
fn a_stage_is_one_step_in_the_order_staged_with_consecutive_numbers() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let record = record(1, root, "A");
        let key = record.key;
        fixture.stage(7, vec![Mutation::CreateKey(record), name_key(key, root, "A", "base")]);
        fixture.stage(8, vec![set_value(key, "other", "base", b"never")]);
        fixture.stage(7, vec![]);
        fixture
            .stage(7, vec![set_value(key, "v", "base", b"1"), set_value(key, "w", "base", b"2")]);
        fixture.stage(7, vec![set_value(key, "v", "base", b"3")]);
        assert!(!fixture.exists(key), "nothing is there before the step");
        let commits = fixture.hive.writer.commits();
        assert_eq!(fixture.apply_stage(7, 10, vec![]), APPLIED);
        assert_eq!(fixture.hive.writer.commits(), commits + 1);
        assert!(fixture.happened(10) && !fixture.happened(11));
        let mut fixture = fixture.restart();
        assert_eq!(fixture.entries(root, "A")[0].sequence, 11);
        let values: Vec<_> =
            fixture.values(key).into_iter().map(|it| (it.name.folded, it.sequence)).collect();
        assert_eq!(values, [("v".to_owned(), 14), ("w".to_owned(), 13)]);
        assert_eq!(fixture.hive.max_sequence(), 14);
        assert_eq!(fixture.apply_stage(8, 15, vec![]), Err(SourceError::NotFound), "it ended");
    });
}

#[test]
fn a_stage_is_gone_with_its_step_and_when_it_is_dropped() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let set = || vec![set_value(root, "v", "base", b"1")];
        fixture.stage(1, set());
        assert_eq!(fixture.apply_stage(1, 1, vec![]), APPLIED);
        assert_eq!(fixture.apply_stage(1, 2, vec![]), Err(SourceError::NotFound));
        fixture.stage(1, set());
        fixture.drop_stage(1);
        fixture.drop_stage(1);
        assert_eq!(fixture.apply_stage(1, 2, vec![]), Err(SourceError::NotFound));
        assert_eq!(fixture.hive.max_sequence(), 1);
        fixture.stage(1, vec![]);
        assert_eq!(fixture.apply_stage(1, 2, vec![]), APPLIED, "an empty one is one");
        assert!(fixture.happened(2));
    });
}

#[test]
fn a_refused_step_changes_nothing_and_takes_its_stage_with_it() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let absent = Condition::KeyExists { key: guid(9) };
        let refused_by_condition = Err(SourceError::ConditionFailed(1));
        let exists = Condition::KeyExists { key: root };
        fixture.stage(1, vec![set_value(root, "v", "base", b"1")]);
        assert_eq!(fixture.apply_stage(1, 1, vec![exists, absent]), refused_by_condition);
        assert_eq!(fixture.apply_stage(1, 1, vec![]), Err(SourceError::NotFound));
        fixture.stage(1, vec![set_value(root, "v", "base", b"1")]);
        fixture.stage(1, vec![set_value(guid(9), "v", "base", b"1")]);
        assert_eq!(fixture.apply_stage(1, 1, vec![]), Err(SourceError::NotFound));
        assert_eq!(fixture.apply_stage(1, 1, vec![]), Err(SourceError::NotFound));
        assert!(fixture.values(root).is_empty());
        assert_eq!(fixture.hive.max_sequence(), 0);
    });
}

#[test]
fn the_conditions_of_a_staged_step_see_earlier_steps_and_none_of_its_own_mutations() {
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let v_is = |sequence| Condition::ValueIs {
            key: root,
            name: "v".into(),
            layer: "base".into(),
            sequence,
        };
        fixture.stage(1, vec![set_value(root, "v", "base", b"2")]);
        fixture.step(vec![set_value(root, "v", "base", b"1")]).unwrap();
        assert_eq!(fixture.apply_stage(1, 2, vec![v_is(Some(1))]), APPLIED);
        assert_eq!(fixture.values(root)[0].sequence, 2);
    });
}

#[test]
fn a_stage_outlives_a_storage_error_and_its_step_can_be_tried_again() {
    let (disk, mut fixture) = on_failing_disk();
    let root = fixture.root();
    disk.fill(true);
    fixture.stage(1, vec![set_value(root, "v", "base", &[1; 10_000])]);
    for _ in 0..2 {
        assert_eq!(fixture.apply_stage(1, 1, vec![]), Err(SourceError::StorageError));
    }
    fixture.stage(1, vec![set_value(root, "w", "base", b"2")]);
    disk.fill(false);
    assert_eq!(fixture.apply_stage(1, 1, vec![]), APPLIED);
    assert_eq!(fixture.values(root).len(), 2);
    assert_eq!(fixture.apply_stage(1, 3, vec![]), Err(SourceError::NotFound));
}

#[test]
fn a_step_of_64_mib_in_hundreds_of_thousands_of_mutations_on_disk_and_in_memory_happens_whole() {
    const KEYS: u32 = 100_000;
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let volatile = fixture.make_volatile_key(1, root, "Session");
        let numbers: Vec<u32> = (0..KEYS).collect();
        for part in numbers.chunks(1000) {
            fixture
                .stage(1, part.iter().flat_map(|n| key_with_value(*n, root, volatile)).collect());
        }
        assert_eq!(fixture.apply_stage(1, 10, vec![]), APPLIED);
        let last = numbered(KEYS - 1);
        assert_eq!(fixture.values(last)[0].sequence, 9 + 3 * u64::from(KEYS));
        let mut fixture = fixture.restart();
        assert_eq!(fixture.hive.max_sequence(), 9 + 3 * u64::from(KEYS));
        assert_eq!(fixture.values(numbered(KEYS - 2))[0].data, [7; 640]);
        assert!(!fixture.exists(last), "it was volatile");
    });
}

fn numbered(number: u32) -> Guid {
    // As spread as random GUIDs are.
    let spread = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    Guid(spread.to_be_bytes())
}

/// Three mutations of 640 bytes of data; every tenth key is volatile.
fn key_with_value(number: u32, root: Guid, volatile_parent: Guid) -> [Mutation; 3] {
    let volatile = number % 10 == 9;
    let parent = if volatile { volatile_parent } else { root };
    let display = format!("Key{number}");
    let key = numbered(number);
    let record = KeyRecord { key, volatile, ..record(0, parent, &display) };
    [
        Mutation::CreateKey(record),
        name_key(key, parent, &display, "base"),
        set_value(key, "v", "base", &[7; 640]),
    ]
}
