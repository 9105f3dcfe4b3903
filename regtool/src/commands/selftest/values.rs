//! Values.

use libredox::errno::{EAGAIN, EINVAL, ENOENT};
use libreg::data::type_name;
use libreg::{BASE_LAYER, SetValue, ValueType};

use super::expect::{Outcome, refused, same};
use super::ground::{Ground, set, set_text, text};

/// Data for each type, and some that is not what its type says, which is the writer's matter.
const DATA: [(ValueType, &[u8]); 14] = [
    (ValueType::None, b""),
    (ValueType::Sz, "Grüße".as_bytes()),
    (ValueType::ExpandSz, b"%HOME%/x"),
    (ValueType::Binary, &[0, 255, 10]),
    (ValueType::Dword, &[42, 0, 0, 0]),
    (ValueType::DwordBigEndian, &[0, 0, 0, 42]),
    (ValueType::Link, b"Machine\\Nowhere"),
    (ValueType::MultiSz, b"one\0two\0"),
    (ValueType::ResourceList, &[8]),
    (ValueType::FullResourceDescriptor, &[9]),
    (ValueType::ResourceRequirementsList, &[10]),
    (ValueType::Qword, &[255; 8]),
    (ValueType::Dword, b"odd"),
    (ValueType::Sz, b"\xFF"),
];

/// As much as is allowed everywhere, in bytes.
const LARGE: usize = 4096;

pub fn types(ground: &Ground) -> Outcome {
    let key = ground.key("types")?;
    let large: Vec<u8> = (0..LARGE).map(|byte| byte as u8).collect();
    for (value_type, data) in DATA.iter().chain(&[(ValueType::Binary, large.as_slice())]) {
        let name = type_name(value_type.code());
        set(&key, "value", *value_type, data)?;
        let value = key.value("VALUE")?;
        same("the type", type_name(value.value_type), name.as_str())?;
        same(&format!("data of type {name}"), value.data.as_slice(), *data)?;
        same("the layer", value.layer.as_str(), BASE_LAYER)?;
    }
    let unknown = key.set_value("value", 12, b"", &SetValue::default());
    refused("a value of type 12", unknown, EINVAL)?;
    set_text(&key, "", "default", None)?;
    same("the default value", text(&key, "")?, "default")?;
    key.delete_value("value", None)?;
    refused("a deleted value", key.value("value"), ENOENT)?;
    // One that is not there is no error.
    Ok(key.delete_value("value", None)?)
}

pub fn list(ground: &Ground) -> Outcome {
    let key = ground.key("list")?;
    // More than one answer holds.
    let data = vec![7; LARGE];
    let mut expected = Vec::new();
    for number in 0..100 {
        let name = format!("Value {number:02}");
        set(&key, &name, ValueType::Binary, &data)?;
        expected.push((name, data.len()));
    }
    let values = key.values().map(|value| value.map(|value| (value.name, value.data.len())));
    same("the values", values.collect::<Result<Vec<_>, _>>()?, expected)?;
    let counts = key.info()?.details.map(|details| details.counts.values);
    same("the number of values", counts, Some(100))
}

pub fn conditions(ground: &Ground) -> Outcome {
    let key = ground.key("conditions")?;
    let set_if = |sequence, text: &str| {
        let how = SetValue { layer: None, expected_sequence: Some(sequence) };
        key.set_value("value", ValueType::Sz.code(), text.as_bytes(), &how)
    };
    let first = set_if(0, "first")?;
    same("the sequence number", key.value("value")?.sequence, first)?;
    refused("writing once more what must not be there", set_if(0, "second"), EAGAIN)?;
    let second = set_if(first, "second")?;
    refused("writing on what was", set_if(first, "third"), EAGAIN)?;
    same("sequence numbers grow", second > first, true)?;
    same("the value", text(&key, "value")?, "second")
}
