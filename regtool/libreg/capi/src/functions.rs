//! The functions, by their names in Win32. winreg.h says what each does.
#![allow(non_snake_case, reason = "they are Win32's names")]
#![allow(clippy::too_many_arguments, reason = "they have Win32's parameters")]

use std::ffi::{c_char, c_int, c_void};

use crate::codes::{Code, Outcome};
use crate::handles::{Number, close, find};
use crate::pointers::{Character, FileTime, bytes, descriptor, name, put, put_bytes, put_text};
use crate::text::Form;
use crate::{guarded, keys, needed};

/// SECURITY_ATTRIBUTES.
#[repr(C)]
pub struct SecurityAttributes {
    length: u32,
    descriptor: *const u8,
    inherit: c_int,
}

unsafe fn open<C: Character>(
    key: Number,
    path: *const C,
    options: u32,
    access: u32,
    result: *mut Number,
) -> Outcome {
    needed(!result.is_null())?;
    // SAFETY: the caller's promise.
    let opened = keys::open(key, &unsafe { name(path) }?, options, access)?;
    // SAFETY: it is not NULL.
    unsafe { put(result, opened) };
    Ok(())
}

unsafe fn create<C: Character>(
    key: Number,
    path: *const C,
    options: u32,
    access: u32,
    attributes: *const SecurityAttributes,
    result: *mut Number,
    disposition: *mut u32,
) -> Outcome {
    needed(!path.is_null() && !result.is_null())?;
    // SAFETY: the caller's promise.
    if !attributes.is_null() && unsafe { !(*attributes).descriptor.is_null() } {
        // RegSetKeySecurity sets one.
        return Err(Code::NotSupported);
    }
    // SAFETY: the caller's promise.
    let (created, how) = keys::create(key, &unsafe { name(path) }?, options, access)?;
    // SAFETY: it is not NULL, or, the second, may be.
    unsafe {
        put(result, created);
        put(disposition, how);
    }
    Ok(())
}

unsafe fn query<C: Character>(
    form: Form,
    key: Number,
    value: *const C,
    reserved: *const u32,
    value_type: *mut u32,
    data: *mut u8,
    size: *mut u32,
) -> Outcome {
    needed(reserved.is_null() && (data.is_null() || !size.is_null()))?;
    // SAFETY: the caller's promise.
    let (code, found) = keys::query(key, &unsafe { name(value) }?, form)?;
    // SAFETY: the caller's promise.
    unsafe {
        put(value_type, code);
        put_bytes(data, size, &found)
    }
}

unsafe fn set<C: Character>(
    form: Form,
    key: Number,
    value: *const C,
    reserved: u32,
    value_type: u32,
    data: *const u8,
    size: u32,
) -> Outcome {
    needed(reserved == 0)?;
    // SAFETY: the caller's promise.
    let (value, data) = unsafe { (name(value)?, bytes(data, size)?) };
    keys::set(key, &value, value_type, data, form)
}

unsafe fn enumerate_keys<C: Character>(
    form: Form,
    key: Number,
    index: u32,
    buffer: *mut C,
    size: *mut u32,
    reserved: *const u32,
    class: *mut C,
    class_size: *mut u32,
    written: *mut FileTime,
) -> Outcome {
    needed(!buffer.is_null() && !size.is_null() && reserved.is_null())?;
    // SAFETY: the caller's promise.
    unsafe { no_class(class, class_size)? };
    let (found, last_write) = keys::subkey(key, index, form)?;
    // SAFETY: the caller's promise.
    unsafe {
        put_text(buffer, size, &found)?;
        put(written, FileTime::of(last_write));
    }
    Ok(())
}

unsafe fn enumerate_values<C: Character>(
    form: Form,
    key: Number,
    index: u32,
    buffer: *mut C,
    size: *mut u32,
    reserved: *const u32,
    value_type: *mut u32,
    data: *mut u8,
    data_size: *mut u32,
) -> Outcome {
    needed(!buffer.is_null() && !size.is_null() && reserved.is_null())?;
    needed(data.is_null() || !data_size.is_null())?;
    let (found, code, bytes) = keys::value(key, index, form)?;
    // SAFETY: the caller's promise.
    unsafe {
        put(value_type, code);
        let outcome = put_bytes(data, data_size, &bytes);
        put_text(buffer, size, &found)?;
        outcome
    }
}

unsafe fn query_info<C: Character>(
    form: Form,
    key: Number,
    class: *mut C,
    class_size: *mut u32,
    reserved: *const u32,
    counts: [*mut u32; 7],
    written: *mut FileTime,
) -> Outcome {
    needed(reserved.is_null())?;
    // SAFETY: the caller's promise.
    unsafe { no_class(class, class_size)? };
    let info = keys::info(key, form)?;
    let found = [
        info.sub_keys,
        info.max_sub_key_len,
        0,
        info.values,
        info.max_value_name_len,
        info.max_value_len,
        info.security_descriptor,
    ];
    for (place, count) in counts.into_iter().zip(found) {
        // SAFETY: the caller's promise.
        unsafe { put(place, count) };
    }
    // SAFETY: the caller's promise.
    unsafe { put(written, FileTime::of(info.last_write)) };
    Ok(())
}

/// Keys have no classes: they are empty.
unsafe fn no_class<C: Character>(class: *mut C, size: *mut u32) -> Outcome {
    needed(class.is_null() || !size.is_null())?;
    if size.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's promise.
    unsafe {
        if !class.is_null() {
            if size.read_unaligned() == 0 {
                return Err(Code::MoreData);
            }
            put(class, C::NUL);
        }
        put(size, 0);
    }
    Ok(())
}

unsafe fn delete_key<C: Character>(key: Number, path: *const C) -> Outcome {
    needed(!path.is_null())?;
    // SAFETY: the caller's promise.
    keys::delete_key(key, &unsafe { name(path) }?)
}

/// Defines a function in its two forms.
macro_rules! both {
    ($(#[$doc:meta])+ $a:ident $w:ident($form:ident $(, $parameter:ident: $type:tt)*) $body:expr) => {
        both! { @one $(#[$doc])+ $a c_char (Form::A) $form ($($parameter: $type),*) $body }
        both! { @one $(#[$doc])+ $w u16 (Form::W) $form ($($parameter: $type),*) $body }
    };
    (@one $(#[$doc:meta])+ $name:ident $character:ident ($value:expr) $form:ident ($($parameter:ident: $type:tt),*) $body:expr) => {
        $(#[$doc])+
        ///
        /// # Safety
        /// Pointers are as in Win32: NULL where that is allowed, else to what the parameter is for.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($parameter: both!(@type $character $type)),*) -> i32 {
            let $form = $value;
            // SAFETY: the caller's promise, which is the same.
            guarded(|| unsafe { $body })
        }
    };
    (@type $character:ident Name) => { *const $character };
    (@type $character:ident Buffer) => { *mut $character };
    (@type $character:ident Numbers) => { *mut u32 };
    (@type $character:ident Reserved) => { *const u32 };
    (@type $character:ident Bytes) => { *const u8 };
    (@type $character:ident Room) => { *mut u8 };
    (@type $character:ident Result) => { *mut Number };
    (@type $character:ident Attributes) => { *const SecurityAttributes };
    (@type $character:ident Time) => { *mut FileTime };
    (@type $character:ident $type:ident) => { $type };
}

both! {
    /// Opens a key.
    RegOpenKeyExA RegOpenKeyExW(_form, key: Number, path: Name, options: u32, access: u32, result: Result)
    open(key, path, options, access, result)
}

both! {
    /// Makes a key, or opens it.
    RegCreateKeyExA RegCreateKeyExW(
        _form, key: Number, path: Name, reserved: u32, _class: Name, options: u32, access: u32, attributes: Attributes,
        result: Result, disposition: Numbers
    )
    needed(reserved == 0).and_then(|()| create(key, path, options, access, attributes, result, disposition))
}

both! {
    /// Reads a value.
    RegQueryValueExA RegQueryValueExW(
        form, key: Number, value: Name, reserved: Reserved, value_type: Numbers, data: Room, size: Numbers
    )
    query(form, key, value, reserved, value_type, data, size)
}

both! {
    /// Writes a value, durably.
    RegSetValueExA RegSetValueExW(
        form, key: Number, value: Name, reserved: u32, value_type: u32, data: Bytes, size: u32
    )
    set(form, key, value, reserved, value_type, data, size)
}

both! {
    /// Tells the name of a subkey.
    RegEnumKeyExA RegEnumKeyExW(
        form, key: Number, index: u32, buffer: Buffer, size: Numbers, reserved: Reserved, class: Buffer,
        class_size: Numbers, written: Time
    )
    enumerate_keys(form, key, index, buffer, size, reserved, class, class_size, written)
}

both! {
    /// Tells a value with its name.
    RegEnumValueA RegEnumValueW(
        form, key: Number, index: u32, buffer: Buffer, size: Numbers, reserved: Reserved, value_type: Numbers,
        data: Room, data_size: Numbers
    )
    enumerate_values(form, key, index, buffer, size, reserved, value_type, data, data_size)
}

both! {
    /// Deletes a key.
    RegDeleteKeyA RegDeleteKeyW(_form, key: Number, path: Name)
    delete_key(key, path)
}

both! {
    /// Deletes a key.
    RegDeleteKeyExA RegDeleteKeyExW(_form, key: Number, path: Name, _access: u32, reserved: u32)
    needed(reserved == 0).and_then(|()| delete_key(key, path))
}

both! {
    /// Deletes a key and all below it.
    RegDeleteTreeA RegDeleteTreeW(_form, key: Number, path: Name)
    name(path).and_then(|path| keys::delete_tree(key, &path))
}

both! {
    /// Deletes a value.
    RegDeleteValueA RegDeleteValueW(_form, key: Number, value: Name)
    name(value).and_then(|value| keys::delete_value(key, &value))
}

both! {
    /// Tells how much is in a key.
    RegQueryInfoKeyA RegQueryInfoKeyW(
        form, key: Number, class: Buffer, class_size: Numbers, reserved: Reserved, sub_keys: Numbers,
        max_sub_key: Numbers, max_class: Numbers, values: Numbers, max_value_name: Numbers, max_value: Numbers,
        security: Numbers, written: Time
    )
    query_info(
        form, key, class, class_size, reserved,
        [sub_keys, max_sub_key, max_class, values, max_value_name, max_value, security], written,
    )
}

/// Closes a key.
#[unsafe(no_mangle)]
pub extern "C" fn RegCloseKey(key: Number) -> i32 {
    guarded(|| close(key))
}

/// Does nothing: what was acknowledged is on disk.
#[unsafe(no_mangle)]
pub extern "C" fn RegFlushKey(key: Number) -> i32 {
    guarded(|| find(key).map(drop))
}

/// Waits until something has changed.
#[unsafe(no_mangle)]
pub extern "C" fn RegNotifyChangeKeyValue(
    key: Number,
    subtree: c_int,
    filter: u32,
    event: *mut c_void,
    asynchronous: c_int,
) -> i32 {
    guarded(|| {
        // There are no events; RegWatchDescriptor gives a descriptor.
        if !event.is_null() || asynchronous != 0 {
            return Err(Code::NotSupported);
        }
        keys::wait_for_change(key, subtree != 0, filter)
    })
}

/// Gives a descriptor that is readable when something has changed.
///
/// # Safety
/// `descriptor` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn RegWatchDescriptor(
    key: Number,
    subtree: c_int,
    filter: u32,
    descriptor: *mut c_int,
) -> i32 {
    guarded(|| {
        needed(!descriptor.is_null())?;
        let found = keys::watch_descriptor(key, subtree != 0, filter)?;
        // SAFETY: the caller's promise.
        unsafe { put(descriptor, found) };
        Ok(())
    })
}

/// Reads parts of the security descriptor of a key.
///
/// # Safety
/// `sd` is NULL or has room for as many bytes as `size` says, which can be read and written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn RegGetKeySecurity(
    key: Number,
    parts: u32,
    sd: *mut u8,
    size: *mut u32,
) -> i32 {
    guarded(|| {
        needed(!size.is_null())?;
        let found = keys::security(key, parts)?;
        // SAFETY: the caller's promise.
        let room = if sd.is_null() { 0 } else { unsafe { size.read_unaligned() } };
        if (room as usize) < found.len() {
            // SAFETY: the caller's promise.
            unsafe { put(size, found.len() as u32) };
            return Err(Code::InsufficientBuffer);
        }
        // SAFETY: the caller's promise.
        unsafe { put_bytes(sd, size, &found) }
    })
}

/// Replaces parts of the security descriptor of a key.
///
/// # Safety
/// `sd` is NULL or a self-relative security descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn RegSetKeySecurity(key: Number, parts: u32, sd: *const u8) -> i32 {
    guarded(|| {
        // SAFETY: the caller's promise.
        keys::set_security(key, parts, unsafe { descriptor(sd) }?)
    })
}
