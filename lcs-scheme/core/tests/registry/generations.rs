//! Which answers have a guard, and what steps the words of the generation page.

use std::pin::pin;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use lcs_abi::call::{Guard, QueryValue, QueryValues, SetValue};
use lcs_core::registry::{Backend, HandleId};

use crate::common::Client;
use crate::common::client::{ROOM, layer};
use crate::common::world::Source;

fn set(name: &str) -> SetValue {
    SetValue {
        name: name.into(),
        value_type: 1,
        data: Vec::new(),
        layer: None,
        expected_sequence: None,
    }
}

impl Client {
    fn words(&self) -> Vec<u64> {
        let words = self.world.generation_words().iter();
        words.map(|word| word.load(Ordering::SeqCst)).collect()
    }

    fn value_guard(&self, key: HandleId, name: &str) -> Option<Guard> {
        let request = QueryValue { name: name.into() };
        self.run(self.registry.query_value(key, request)).expect("the value").guard
    }

    fn list_guard(&self, key: HandleId) -> Option<Guard> {
        let listed = self.registry.query_values(key, QueryValues { cursor: None }, ROOM);
        self.run(listed).expect("the key").guard
    }

    fn info_guard(&self, key: HandleId) -> Option<Guard> {
        self.run(self.registry.key_info(key)).expect("the key").guard
    }
}

#[test]
fn a_guard_is_the_word_of_the_hive_from_before_the_answer() {
    let (client, _) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", 1, b"", None).unwrap();
    let word = client.words()[1];
    let guard = Some(Guard { slot: 1, generation: word });
    let guards = [client.value_guard(key, "v"), client.list_guard(key), client.info_guard(key)];
    assert_eq!(guards, [guard; 3]);
    assert_eq!(client.words()[1], word, "reads step nothing");
}

#[test]
fn a_change_steps_the_words_of_its_hive_and_of_everything_and_no_other() {
    let (client, _) = Client::with_hive([]);
    client.serve(2, &[("Other", &Source::new("Other"))]).unwrap();
    let (key, other) = (client.create("Test\\k").unwrap(), client.create("Other\\k").unwrap());
    client.set(other, "v", 1, b"", None).unwrap();
    let before = client.words();
    client.set(key, "v", 1, b"", None).unwrap();
    assert_eq!(client.words(), [before[0] + 1, before[1] + 1, before[2]]);
    assert_eq!(client.value_guard(other, "v"), Some(Guard { slot: 2, generation: before[2] }));
}

#[test]
fn what_a_change_on_its_way_may_change_has_no_guard_and_the_word_is_stepped_when_it_is_sent() {
    let (client, _) = Client::with_hive([]);
    let key = client.create("Test\\k").unwrap();
    client.set(key, "v", 1, b"", None).unwrap();
    client.set(key, "w", 1, b"", None).unwrap();
    let before = client.words();
    client.world.set_delays(vec![200]);
    let mut writing = pin!(client.registry.set_value(key, set("v")));
    assert!(writing.as_mut().now_or_never().is_none());
    client.world.set_delays(Vec::new());
    assert_eq!(client.words()[1], before[1] + 1);
    assert_eq!(client.value_guard(key, "v"), None);
    assert_eq!([client.list_guard(key), client.info_guard(key)], [None; 2]);
    let guard = client.value_guard(key, "w").expect("nobody writes it");
    assert_eq!(guard.generation, before[1] + 1);
    client.run(writing).unwrap();
    assert_eq!(client.words()[1], before[1] + 1, "nothing new happens when it is done");
    assert!(client.value_guard(key, "v").is_some());
}

#[test]
fn a_transaction_has_no_guards_and_steps_the_word_when_it_is_committed() {
    let (client, _) = Client::with_hive([]);
    client.create("Test\\k").unwrap();
    let transaction = client.begin();
    let inside = client.derive(Some(transaction), crate::common::client::open_key("Test\\k"));
    let inside = inside.unwrap();
    let before = client.words();
    client.set(inside, "v", 1, b"", None).unwrap();
    assert_eq!(client.words(), before);
    assert_eq!(client.value_guard(inside, "v"), None);
    assert_eq!([client.list_guard(inside), client.info_guard(inside)], [None; 2]);
    client.commit(transaction).unwrap();
    assert_eq!(client.words()[1], before[1] + 1);
}

#[test]
fn a_change_of_the_layers_and_the_end_and_return_of_a_source_step_what_they_may_change() {
    let (client, source) = Client::with_hive([layer("r1", 0, true)]);
    let stepped = |what: &dyn Fn()| {
        let before = client.words();
        what();
        let after = client.words();
        (0..after.len()).filter(|word| after[*word] != before[*word]).collect::<Vec<_>>()
    };
    let metadata = client.open("Machine\\System\\Registry\\Layers\\r1").unwrap();
    let disable = || {
        client.set(metadata, "Enabled", 4, &[0; 4], None).unwrap();
    };
    let all = stepped(&disable);
    assert_eq!(all, [0, 1, 2]);
    let key = client.create("Test\\k").unwrap();
    let word = client.info_guard(key).expect("nothing is on its way").slot as usize;
    assert_eq!(stepped(&|| client.disconnect(1)), [0, word]);
    assert_eq!(stepped(&|| client.serve(1, &[("Test", &source)]).unwrap()), [0, word]);
}
