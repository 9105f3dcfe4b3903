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

/// The files of stages in the directory of a hive.
fn files(fixture: &Fixture) -> Vec<std::path::PathBuf> {
    let directory = fixture.directory.as_ref().unwrap().path();
    let all = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    all.filter(|path| path.to_string_lossy().contains("Machine.stage-")).collect()
}

fn half_a_megabyte(key: Guid, display: &str) -> Vec<Mutation> {
    vec![set_value(key, display, "base", &vec![7; 1 << 19])]
}

#[test]
fn a_large_stage_is_in_a_file_until_its_step_is_done_or_it_is_dropped() {
    let mut fixture = Fixture::on_disk();
    let root = fixture.root();
    for stage in [1, 2] {
        for number in 0..12 {
            fixture.stage(stage, half_a_megabyte(root, &format!("{stage}-{number}")));
        }
    }
    fixture.stage(3, half_a_megabyte(root, "small"));
    assert_eq!(files(&fixture).len(), 2);
    let exists = Condition::KeyExists { key: guid(9) };
    fixture.drop_stage(2);
    assert_eq!(files(&fixture).len(), 1);
    fixture.stage(1, vec![set_value(root, "last", "base", b"1")]);
    assert_eq!(fixture.apply_stage(1, 1, vec![]), APPLIED);
    assert!(files(&fixture).is_empty());
    let values = fixture.values(root);
    assert_eq!((values.len(), fixture.hive.max_sequence()), (13, 13));
    assert!(values.iter().all(|it| it.data == vec![7; 1 << 19] || it.name.folded == "last"));
    for number in 0..12 {
        fixture.stage(4, half_a_megabyte(root, &format!("4-{number}")));
    }
    let refused = fixture.apply_stage(4, 14, vec![exists]);
    assert_eq!(refused, Err(SourceError::ConditionFailed(0)));
    assert!(files(&fixture).is_empty());
}

#[test]
fn files_of_stages_that_were_left_behind_are_removed() {
    let fixture = Fixture::on_disk();
    let path = fixture.directory.as_ref().unwrap().path();
    for name in ["Machine.stage-7", "Machine2.stage-7", "Machine.stage"] {
        std::fs::write(path.join(name), b"left").unwrap();
    }
    let fixture = fixture.restart();
    assert!(files(&fixture).is_empty());
    let left = std::fs::read_dir(fixture.directory.as_ref().unwrap().path()).unwrap().count();
    assert_eq!(left, 3, "the hive, and what is not its");
}

#[test]
fn a_stage_that_the_disk_does_not_take_is_an_error_and_no_step() {
    let fixture = Fixture::on_disk();
    let nowhere = fixture.directory.as_ref().unwrap().path().join("absent/Machine");
    let mut hive = fixture.hive;
    hive.stages = super::super::Stages::in_files(&nowhere);
    let root = hive.root();
    let stage = |number| Request::Stage {
        stage: 1,
        mutations: half_a_megabyte(root, &format!("{number}")),
    };
    let answers: Vec<_> = (0..12).map(|number| hive.answer(&stage(number))).collect();
    assert_eq!(answers[..7], [(); 7].map(|()| Ok(Answer::Done)));
    assert!(answers[7..].iter().all(|it| *it == Err(SourceError::StorageError)), "{answers:?}");
    let changes = Changes::Stage(1);
    let step = Request::Apply { conditions: vec![], changes, first_sequence: 1 };
    assert_eq!(hive.answer(&step), Err(SourceError::StorageError));
    assert_eq!(hive.answer(&Request::DropStage { stage: 1 }), Ok(Answer::Done));
    assert_eq!(hive.answer(&step), Err(SourceError::NotFound));
    assert_eq!(hive.max_sequence(), 0);
}

#[test]
fn a_stage_whose_file_is_cut_is_an_error_and_changes_nothing() {
    let mut fixture = Fixture::on_disk();
    let root = fixture.root();
    for number in 0..12 {
        fixture.stage(1, half_a_megabyte(root, &format!("{number}")));
    }
    let file = std::fs::OpenOptions::new().write(true).open(&files(&fixture)[0]).unwrap();
    file.set_len(4_000_000).unwrap();
    let snapshot = fixture.hive.answer(&Request::Snapshot).unwrap();
    assert_eq!(fixture.apply_stage(1, 1, vec![]), Err(SourceError::StorageError));
    assert!(fixture.values(root).is_empty());
    let Answer::Snapshot { snapshot } = snapshot else { panic!() };
    let read = Request::ReadKey { key: root };
    assert!(fixture.hive.answer_in(Some(snapshot), &read).is_ok(), "the store was not at fault");
    fixture.step(vec![set_value(root, "v", "base", b"1")]).unwrap();
}

#[test]
fn what_is_removed_may_be_more_than_a_step_has_at_hand() {
    const KEYS: u32 = 20_000;
    on_each_engine(|mut fixture| {
        let root = fixture.root();
        let volatile = fixture.make_volatile_key(1, root, "Session");
        let deep: Vec<u32> = (KEYS..KEYS + 300).collect();
        for number in 0..KEYS {
            fixture.stage(1, key_with_value(number, root, volatile).into());
        }
        let mut parent = root;
        for number in deep {
            let key = numbered(number);
            let made = KeyRecord { key, ..record(0, parent, "Deep") };
            fixture
                .stage(1, vec![Mutation::CreateKey(made), name_key(key, parent, "Deep", "role")]);
            parent = key;
        }
        assert_eq!(fixture.apply_stage(1, 10, vec![]), APPLIED);
        let before = super::history::rows_of(&fixture.hive).len();
        let in_base = Request::DeleteLayer { layer: "base".into() };
        let Ok(Answer::Orphans(orphans)) = fixture.hive.answer(&in_base) else { panic!() };
        assert_eq!(orphans.len(), KEYS as usize + 1);
        assert!(orphans.is_sorted() && before > orphans.len());
        let everything = vec![Mutation::RemoveSubtree { key: root }];
        fixture.hive.answer(&apply(1_000_000, vec![], everything)).unwrap();
        assert!(!fixture.exists(parent));
        let mut fixture = fixture.restart();
        super::history::check(&mut fixture.hive);
        let keys = super::history::rows_of(&fixture.hive);
        let key = super::super::rows::Kind::Key as u8;
        assert_eq!(keys.iter().filter(|(_, row, _)| row[0] == key).count(), 1, "the root");
    });
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
