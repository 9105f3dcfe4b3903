//! Reading what LCS remembers.

use std::ops::ControlFlow;

use libredox::Fd;
use libredox::flag::{O_CLOEXEC, O_RDONLY, O_RDWR};
use libreg::security::Parts;
use libreg::{Access, Key, Registry, SetValue, ValueType};
use registry_tests::echo;

use crate::client::Client;
use crate::figures::{Figures, in_turns};

const ROUNDS: usize = 201;

/// A key of depth 6, `Machine` counted.
const DEEP: &str = r"Machine\a\b\c\d\e";

/// A value of 32 bytes, of a key that is open; and a call with payloads of the same sizes.
pub fn read_warm(client: &Client) -> anyhow::Result<Figures> {
    client.registry.keep_answers(false);
    let key = client.key(DEEP)?;
    key.set_value("Value", ValueType::Binary.code(), &[7; 32], &SetValue::default())?;
    let value = key.value("Value")?;
    anyhow::ensure!(value.data == [7; 32], "what was written does not read back");
    let request = lcs_abi::encode(&lcs_abi::call::QueryValue { name: "Value".to_owned() }).len();
    let answer = lcs_abi::encode(&value).len();
    let mut payload = vec![0; request.max(answer)];
    in_turns(
        ROUNDS,
        100,
        || client.call(&mut payload, answer),
        || Ok(key.value("Value").map(drop)?),
    )
}

/// The same value again, which nothing has changed; and the same from a library that asks each time.
pub fn read_repeat(client: &Client) -> anyhow::Result<Figures> {
    let key = client.key(DEEP)?;
    key.set_value("Value", ValueType::Binary.code(), &[7; 32], &SetValue::default())?;
    let asking = Registry::open()?;
    asking.keep_answers(false);
    let asking = asking.open_key(DEEP, Access::KEY_READ)?;
    let read = |key: &Key| Ok(key.value("Value").map(drop)?);
    in_turns(ROUNDS, 100, || read(&asking), || read(&key))
}

/// A key that is opened by its whole path and closed; and a handle that is derived with a payload of that size, and
/// closed.
pub fn open_warm(client: &Client) -> anyhow::Result<Figures> {
    client.key(DEEP)?;
    let payload = vec![b'x'; lcs_abi::encode(&opening(DEEP)).len()];
    in_turns(
        ROUNDS,
        50,
        || Ok(Fd::new(client.echo.dup(&payload)?).close()?),
        || Ok(client.registry.open_key(DEEP, Access::KEY_READ).map(drop)?),
    )
}

fn opening(path: &str) -> lcs_abi::call::Derive {
    let access = Access::KEY_READ.bits();
    lcs_abi::call::Derive::OpenKey { path: path.to_owned(), access, flags: 0 }
}

/// A key whose last of 20 ACEs grants; and one whose last of 3 does.
pub fn open_20_aces(client: &Client) -> anyhow::Result<Figures> {
    let [few, many] = [3, 20].map(|count| (count, format!(r"{DEEP}\{count}")));
    for (count, path) in [&few, &many] {
        let aces: String = (1..*count).map(|uid| format!("(A;CI;KR;;;S-1-22-1-{uid})")).collect();
        let sd = format!("D:P{aces}(A;CI;KA;;;SY)").parse()?;
        client.key(path)?.set_security(Parts::DACL, &sd)?;
    }
    let open = |path: &str| Ok(client.registry.open_key(path, Access::KEY_READ).map(drop)?);
    in_turns(ROUNDS, 50, || open(&few.1), || open(&many.1))
}

/// The file of a value that is opened, read and closed; and the same with a file of the echo scheme that is as long.
pub fn file_read_warm(client: &Client) -> anyhow::Result<Figures> {
    let key = client.key(DEEP)?;
    // With its newline it is as long as the other one.
    key.set_value("Text", ValueType::Sz.code(), &[b'x'; 299], &SetValue::default())?;
    let ours = "/scheme/reg/Machine/a/b/c/d/e/Text".to_owned();
    let base = format!("/scheme/echo/{}", echo::POSITIONED);
    let read = |path: &str, flags: i32| {
        let file = Fd::open(path, flags | O_CLOEXEC, 0)?;
        let mut buffer = [0; 4096];
        let length = file.read(&mut buffer)?;
        anyhow::ensure!(length == 300, "{path}: {length} bytes");
        Ok(file.close()?)
    };
    in_turns(ROUNDS, 50, || read(&base, O_RDWR), || read(&ours, O_RDONLY))
}

/// All of 1000 values of 32 bytes; and a call with a payload as large as all answers together.
pub fn list_1000(client: &Client) -> anyhow::Result<Figures> {
    let inside = client.registry.begin()?;
    client.key(r"Machine\Many")?;
    let key = inside.registry().open_key(r"Machine\Many", Access::SET_VALUE)?;
    for number in 0..1000 {
        let name = format!("Value{number}");
        key.set_value(&name, ValueType::Binary.code(), &[7; 32], &SetValue::default())?;
    }
    inside.commit()?;
    let key = client.registry.open_key(r"Machine\Many", Access::KEY_READ)?;
    let values = key.values().collect::<Result<Vec<_>, _>>()?;
    anyhow::ensure!(values.len() == 1000, "{} values", values.len());
    let mut payload = lcs_abi::encode(&values);
    let length = payload.len();
    let all = || {
        let (mut count, mut bytes) = (0, 0);
        key.each_value(|value| {
            count += 1;
            bytes += value.value.data.len();
            ControlFlow::<()>::Continue(())
        })?;
        anyhow::ensure!((count, bytes) == (1000, 32_000), "not all");
        Ok(())
    };
    in_turns(51, 5, || client.call(&mut payload, length), all)
}
