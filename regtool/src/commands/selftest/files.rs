//! `reg:` as files, by the ordinary file API.

use std::io::ErrorKind;

use libreg::files::{self, Kind};
use libreg::{Access, CreateKey, Key, ValueType};

use super::expect::{Outcome, done, fails, same};
use super::ground::{Ground, set, set_dacl, set_text, text};
use super::security::READ_AND_DELETE;

/// What values are, and how they read.
const TEXT_FORMS: [(ValueType, &[u8], &[u8]); 12] = [
    (ValueType::Sz, b"tea", b"tea\n"),
    (ValueType::Sz, b"", b"\n"),
    (ValueType::ExpandSz, b"%HOME%", b"%HOME%\n"),
    (ValueType::Link, b"Machine\\X", b"Machine\\X\n"),
    (ValueType::MultiSz, b"one\0two\0", b"one\ntwo\n"),
    (ValueType::Dword, &[42, 0, 0, 0], b"42\n"),
    (ValueType::DwordBigEndian, &[0, 0, 0, 42], b"42\n"),
    (ValueType::Qword, &[255; 8], b"18446744073709551615\n"),
    (ValueType::Dword, b"odd", b"odd"),
    (ValueType::Binary, &[0, 255, 10], &[0, 255, 10]),
    (ValueType::None, b"", b""),
    (ValueType::ResourceList, b"raw", b"raw"),
];

/// What is written over a value, and what it is then.
const WRITTEN: [(ValueType, &[u8], &[u8]); 6] = [
    (ValueType::Sz, b"tea\n", b"tea"),
    (ValueType::MultiSz, b"one\ntwo\n", b"one\0two\0"),
    (ValueType::Dword, b"0x10\n", &[16, 0, 0, 0]),
    (ValueType::DwordBigEndian, b"16", &[0, 0, 0, 16]),
    (ValueType::Qword, b"7\n", &[7, 0, 0, 0, 0, 0, 0, 0]),
    (ValueType::Binary, b"raw\n", b"raw\n"),
];

fn make(key: &Key, name: &str) -> Outcome<Key> {
    Ok(key.create_key(name, Access::KEY_ALL_ACCESS, &CreateKey::default())?)
}

pub fn text_forms(ground: &Ground) -> Outcome {
    let key = ground.key("forms")?;
    let file = ground.file("forms/value");
    for (value_type, data, expected) in TEXT_FORMS {
        set(&key, "value", value_type, data)?;
        let read = done("reading", files::read(&file))?;
        same(&format!("the text of {data:?} as {value_type:?}"), read.as_slice(), expected)?;
        same("its length", done("stat", files::stat(&file))?.length, expected.len() as u64)?;
    }
    Ok(())
}

pub fn writing(ground: &Ground) -> Outcome {
    let key = ground.key("writing")?;
    let file = ground.file("writing/value");
    for (value_type, written, expected) in WRITTEN {
        set(&key, "value", value_type, b"")?;
        done("writing", files::write(&file, written))?;
        let value = key.value("value")?;
        same("the type", value.value_type, value_type.code())?;
        same(&format!("{written:?} as {value_type:?}"), value.data.as_slice(), expected)?;
    }
    set(&key, "value", ValueType::Dword, &[1, 0, 0, 0])?;
    fails("writing no number", files::write(&file, b"ten\n"), ErrorKind::InvalidInput)?;
    same("the number after that", key.value("value")?.data, [1, 0, 0, 0])?;
    let new = ground.file("writing/new");
    done("writing a new file", files::write(&new, b"one\n"))?;
    same("a new value", text(&key, "new")?, "one")?;
    done("appending", files::append(&new, b"two\n"))?;
    same("a longer value", text(&key, "new")?, "one\ntwo")?;
    fails("making what is there", files::create_new(&new), ErrorKind::AlreadyExists)?;
    done("making an empty file", files::create_new(&ground.file("writing/empty")))?;
    same("an empty value", text(&key, "empty")?, "")?;
    done("removing", files::remove_file(&new))?;
    fails("reading a removed file", files::read(&new), ErrorKind::NotFound)?;
    fails("appending to nothing", files::append(&new, b"x"), ErrorKind::NotFound)
}

pub fn list_and_stat(ground: &Ground) -> Outcome {
    let key = ground.key("listed")?;
    make(&key, "Child")?;
    set_text(&key, "", "default", None)?;
    set_text(&key, "value", "text", None)?;
    let directory = ground.file("listed");
    let listed = done("listing", files::list(&directory))?;
    let expected = [("Child", Kind::Directory), ("@", Kind::File), ("value", Kind::File)];
    same("the entries", listed, expected.map(|(name, kind)| (name.to_owned(), kind)))?;
    for (name, kind) in expected {
        let stat = done("stat", files::stat(&format!("{directory}/{name}")))?;
        same(&format!("what {name} is"), stat.kind, kind)?;
    }
    same("what the key is", done("stat", files::stat(&directory))?.kind, Kind::Directory)?;
    let hives = done("listing the root", files::list("/scheme/reg"))?;
    same("there is Machine", hives.iter().any(|(name, _)| name == "Machine"), true)
}

pub fn directories(ground: &Ground) -> Outcome {
    let key = ground.key("directories")?;
    let (outer, inner) = (ground.file("directories/Outer"), ground.file("directories/outer/Inner"));
    fails("one without its parent", files::create_directory(&inner), ErrorKind::NotFound)?;
    done("making a directory", files::create_directory(&outer))?;
    done("making one in it", files::create_directory(&inner))?;
    fails("making it again", files::create_directory(&outer), ErrorKind::AlreadyExists)?;
    key.open_key("Outer\\Inner", Access::KEY_READ)?;
    let full = files::remove_directory(&outer);
    fails("removing one that is not empty", full, ErrorKind::DirectoryNotEmpty)?;
    done("removing the inner one", files::remove_directory(&inner))?;
    done("removing the outer one", files::remove_directory(&outer))?;
    same("keys below", super::keys::names_below(&key)?.len(), 0)
}

pub fn names(ground: &Ground) -> Outcome {
    let key = ground.key("names of files")?;
    make(&key, "Both")?;
    let values = [
        ("", "@"),
        ("@", "%40"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("both", "both%val"),
        ("a/b\\c", "a%2Fb%5Cc"),
        ("50%", "50%25"),
        ("with space", "with space"),
        ("\"q'\n", "\"q'\n"),
        ("Größe", "Größe"),
    ];
    for (name, file) in values {
        let path = ground.file(&format!("names of files/{file}"));
        set_text(&key, name, name, None)?;
        let read = done(file, files::read(&path))?;
        same(&format!("the text of {file}"), read, format!("{name}\n").into_bytes())?;
        done(file, files::write(&path, b"written"))?;
        same(&format!("what was written to {file}"), text(&key, name)?, "written")?;
    }
    let mut expected: Vec<_> = values.map(|(_, file)| file).into();
    expected.push("Both");
    let listed = done("listing", files::list(&ground.file("names of files")))?;
    let mut listed: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
    expected.sort_unstable();
    listed.sort_unstable();
    same("the entries", listed, expected)?;
    let unfinished = files::read(&ground.file("names of files/50%2"));
    fails("half an encoded character", unfinished, ErrorKind::InvalidInput)
}

pub fn errors(ground: &Ground) -> Outcome {
    let key = ground.key("errors")?;
    make(&key, "Child")?;
    set_text(&key, "value", "text", None)?;
    let (child, value) = (ground.file("errors/Child"), ground.file("errors/value"));
    fails("reading a directory", files::read(&child), ErrorKind::IsADirectory)?;
    fails("writing a directory", files::append(&child, b"x"), ErrorKind::IsADirectory)?;
    fails("unlinking a directory", files::remove_file(&child), ErrorKind::IsADirectory)?;
    fails("listing a file", files::list(&value), ErrorKind::NotADirectory)?;
    fails("rmdir of a file", files::remove_directory(&value), ErrorKind::NotADirectory)?;
    let below = files::read(&format!("{value}/x"));
    fails("a path through a file", below, ErrorKind::NotADirectory)?;
    let missing = ground.file("errors/missing");
    fails("reading nothing", files::read(&missing), ErrorKind::NotFound)?;
    fails("listing nothing", files::list(&missing), ErrorKind::NotFound)?;
    fails("stat of nothing", files::stat(&missing), ErrorKind::NotFound)?;
    fails("unlinking nothing", files::remove_file(&missing), ErrorKind::NotFound)?;
    fails("rmdir of nothing", files::remove_directory(&missing), ErrorKind::NotFound)?;
    same("the value after that", text(&key, "value")?, "text")
}

pub fn denied(ground: &Ground) -> Outcome {
    let key = ground.key("denied files")?;
    set_text(&key, "value", "text", None)?;
    set_dacl(ground.registry, key.path(), READ_AND_DELETE)?;
    let file = |name: &str| ground.file(&format!("denied files/{name}"));
    same("reading", done("reading", files::read(&file("value")))?, b"text\n")?;
    let write = files::write(&file("value"), b"x");
    fails("writing", write, ErrorKind::PermissionDenied)?;
    fails("a new file", files::create_new(&file("new")), ErrorKind::PermissionDenied)?;
    let made = files::create_directory(&file("Child"));
    fails("a new directory", made, ErrorKind::PermissionDenied)?;
    fails("unlinking", files::remove_file(&file("value")), ErrorKind::PermissionDenied)?;
    same("the value after that", text(&key, "value")?, "text")
}
