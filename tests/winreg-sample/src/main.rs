//! A program that uses nothing but what winreg 0.56 has, by its names; also what it prints is what it would print on
//! Windows.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;

use serde::{Deserialize, Serialize};
use winreg::enums::*;
use winreg::transaction::Transaction;
use winreg::types::{FromRegValue, ToRegValue};
use winreg::{HKCU, HKLM, RegKey, RegValue};

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Size {
    width: u32,
    height: u32,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Window {
    title: String,
    size: Size,
    scale: f64,
    offset: i32,
    id: u64,
    maximized: bool,
    icon: Option<String>,
    extra: HashMap<String, u32>,
}

fn values() -> io::Result<()> {
    let hkcu = RegKey::predef(HKEY_CURRENT_USER);
    let (key, disposition) = hkcu.create_subkey("Software\\Sample\\Deep\\Key")?;
    println!("{disposition:?}");
    let (_, disposition) = hkcu.create_subkey("Software\\Sample\\Deep\\Key")?;
    println!("{disposition:?}");

    key.set_value("text", &"Grüße")?;
    key.set_value("", &"the default".to_owned())?;
    key.set_value("number", &42u32)?;
    key.set_value("large", &u64::MAX)?;
    key.set_value("list", &vec!["one", "two"])?;
    key.set_value("os", &OsStr::new("os"))?;
    let bytes = RegValue { bytes: vec![1, 2, 3].into(), vtype: REG_BINARY };
    key.set_raw_value("bytes", &bytes)?;

    let text: String = key.get_value("text")?;
    let default: String = key.get_value("")?;
    let number: u32 = key.get_value("number")?;
    let large: u64 = key.get_value("large")?;
    let list: Vec<String> = key.get_value("list")?;
    let os: OsString = key.get_value("os")?;
    println!("{text} {default} {number} {large} {list:?} {os:?}");
    println!("{:?}", key.get_raw_value("bytes")?);
    println!("{}", key.get_raw_value("text")?.bytes.len());

    let missing = key.get_value::<String, _>("missing").unwrap_err();
    println!("{:?}", missing.kind());
    println!("{}", key.get_value::<u32, _>("text").is_err());
    println!("{:?}", key.delete_value("missing").unwrap_err().kind());
    key.delete_value("os")?;

    let names: Vec<String> =
        key.enum_values().map(|value| value.map(|(name, _)| name)).collect::<Result<_, _>>()?;
    println!("{names:?}");
    for (name, value) in key.enum_values().map(Result::unwrap).filter(|(name, _)| name == "number")
    {
        println!("{name} = {value:?} {}", u32::from_reg_value(&value)?);
    }
    assert_eq!(7u32.to_reg_value().vtype, REG_DWORD);
    Ok(())
}

fn keys() -> io::Result<()> {
    let sample = HKCU.open_subkey_with_flags("Software\\Sample", KEY_ALL_ACCESS)?;
    sample.create_subkey("TCP/IP")?;
    let (_, _) = sample.create_subkey_with_options_flags("Now", REG_OPTION_VOLATILE, KEY_READ)?;
    println!("{:?}", sample.enum_keys().collect::<Result<Vec<_>, _>>()?);
    println!("{:?}", sample.enum_keys_os_string().next().transpose()?);
    println!("{:?}", HKCU.open_subkey("Software\\Nowhere").unwrap_err().kind());
    sample.open_subkey("tcp/ip")?;

    let info = sample.open_subkey("Deep\\Key")?.query_info()?;
    println!(
        "{} {} {} {}",
        info.sub_keys, info.values, info.max_value_name_len, info.max_value_len
    );
    println!("{}", info.get_last_write_time_system().wYear >= 2024);

    println!("{}", sample.delete_subkey("Deep").is_err());
    let (copy, _) = sample.create_subkey("Copy")?;
    sample.copy_tree("Deep", &copy)?;
    println!("{}", copy.open_subkey("Key")?.get_value::<u32, _>("number")?);
    sample.delete_subkey_all("Copy")?;
    println!("{:?}", sample.open_subkey("Copy").unwrap_err().kind());
    sample.delete_subkey("Now")
}

fn transactions() -> io::Result<()> {
    let transaction = Transaction::new()?;
    let (key, _) = HKCU.create_subkey_transacted("Software\\Sample\\Given up", &transaction)?;
    key.set_value("x", &1u32)?;
    println!("{}", HKCU.open_subkey("Software\\Sample\\Given up").is_err());
    transaction.rollback()?;
    println!("{}", HKCU.open_subkey("Software\\Sample\\Given up").is_err());

    let transaction = Transaction::new()?;
    let (key, _) = HKCU.create_subkey_transacted("Software\\Sample\\Committed", &transaction)?;
    key.set_value("x", &1u32)?;
    let sample = HKCU.open_subkey("Software\\Sample")?;
    sample.delete_subkey_transacted("TCP/IP", &transaction)?;
    transaction.commit()?;
    let committed = HKCU.open_subkey("Software\\Sample\\Committed")?;
    println!("{} {}", committed.get_value::<u32, _>("x")?, sample.open_subkey("TCP/IP").is_err());
    Ok(())
}

fn structures() -> Result<(), Box<dyn std::error::Error>> {
    let window = Window {
        title: "Main".to_owned(),
        size: Size { width: 800, height: 600 },
        scale: 1.5,
        offset: -3,
        id: 1 << 40,
        maximized: true,
        icon: None,
        extra: HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]),
    };
    let (key, _) = HKCU.create_subkey("Software\\Sample\\Window")?;
    key.encode(&window)?;
    let read: Window = key.decode()?;
    println!("{}", read == window);
    key.set_value("stale", &1u32)?;
    key.encode_destructive(&window)?;
    println!("{}", key.get_value::<u32, _>("stale").is_err());

    let transaction = Transaction::new()?;
    let other = Size { width: 1, height: 2 };
    key.open_subkey_with_flags("size", KEY_ALL_ACCESS)?.encode_transacted(&other, &transaction)?;
    println!("{}", key.decode::<Window>()? == window);
    transaction.commit()?;
    println!("{:?}", key.decode::<Window>()?.size);
    println!("{}", HKLM.open_subkey("System")?.decode::<Size>().is_err());
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    values()?;
    keys()?;
    transactions()?;
    structures()
}
