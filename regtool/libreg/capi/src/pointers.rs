//! What C gives, read into values, and what it is given.

use std::ffi::{CStr, c_char};
use std::slice;

use crate::codes::{Code, Outcome};
use crate::text::Text;

/// A character of a name in C.
pub trait Character: Copy {
    /// Reads text up to its NUL.
    ///
    /// # Safety
    /// It is a pointer to text that ends with a NUL.
    unsafe fn read(text: *const Self) -> Outcome<String>;

    /// The characters of a text of this form; `None` if it is of the other one.
    fn characters(text: &Text) -> Option<Vec<Self>>;

    /// What ends it.
    const NUL: Self;
}

impl Character for c_char {
    unsafe fn read(text: *const c_char) -> Outcome<String> {
        // SAFETY: the caller's promise.
        let text = unsafe { CStr::from_ptr(text) };
        text.to_str().map(str::to_owned).map_err(|_| Code::NoUnicodeTranslation)
    }

    fn characters(text: &Text) -> Option<Vec<c_char>> {
        match text {
            Text::A(bytes) => Some(bytes.iter().map(|byte| *byte as c_char).collect()),
            Text::W(_) => None,
        }
    }

    const NUL: c_char = 0;
}

impl Character for u16 {
    unsafe fn read(text: *const u16) -> Outcome<String> {
        let mut length = 0;
        // SAFETY: by the caller's promise there is a NUL, and all before it can be read.
        while unsafe { text.add(length).read_unaligned() } != 0 {
            length += 1;
        }
        // SAFETY: all of these were just read.
        let units = (0..length).map(|at| unsafe { text.add(at).read_unaligned() });
        String::from_utf16(&units.collect::<Vec<_>>()).map_err(|_| Code::NoUnicodeTranslation)
    }

    fn characters(text: &Text) -> Option<Vec<u16>> {
        match text {
            Text::A(_) => None,
            Text::W(units) => Some(units.clone()),
        }
    }

    const NUL: u16 = 0;
}

/// Reads a name; NULL is the empty one.
///
/// # Safety
/// It is NULL or a pointer to text that ends with a NUL.
pub unsafe fn name<C: Character>(text: *const C) -> Outcome<String> {
    // SAFETY: the caller's promise.
    if text.is_null() { Ok(String::new()) } else { unsafe { C::read(text) } }
}

/// Reads so many bytes.
///
/// # Safety
/// It is NULL or a pointer to so many bytes, which nobody changes meanwhile.
pub unsafe fn bytes<'a>(data: *const u8, length: u32) -> Outcome<&'a [u8]> {
    match (data.is_null(), length) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Code::InvalidParameter),
        // SAFETY: the caller's promise.
        (false, _) => Ok(unsafe { slice::from_raw_parts(data, length as usize) }),
    }
}

/// Writes a value, unless the pointer is NULL.
///
/// # Safety
/// It is NULL or can be written.
pub unsafe fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: the caller's promise; C need not align it.
        unsafe { place.write_unaligned(value) }
    }
}

/// Writes data into a buffer whose size is told, and how large it is: the rules of RegQueryValueEx.
///
/// # Errors
/// `MoreData`: the buffer is too small, and has not been written to.
///
/// # Safety
/// `size` is NULL or can be read and written, `data` is NULL or has room for so many bytes.
pub unsafe fn put_bytes(data: *mut u8, size: *mut u32, found: &[u8]) -> Outcome {
    if size.is_null() {
        return if data.is_null() { Ok(()) } else { Err(Code::InvalidParameter) };
    }
    // SAFETY: the caller's promise.
    let room = unsafe { size.read_unaligned() } as usize;
    let length = u32::try_from(found.len()).map_err(|_| Code::MoreData)?;
    // SAFETY: the caller's promise.
    unsafe { put(size, length) };
    if data.is_null() {
        return Ok(());
    }
    if room < found.len() {
        return Err(Code::MoreData);
    }
    // SAFETY: there is room, by the caller's promise, and what was found is none of C's memory.
    unsafe { data.copy_from_nonoverlapping(found.as_ptr(), found.len()) };
    Ok(())
}

/// Writes a name with its NUL into a buffer whose size, in characters, is told, and how long it is without: the rules
/// of RegEnumKeyEx.
///
/// # Errors
/// `MoreData`: the buffer is too small; neither it nor the size has been written to.
///
/// # Safety
/// `size` can be read and written, `buffer` has room for so many characters.
pub unsafe fn put_text<C: Character>(buffer: *mut C, size: *mut u32, found: &Text) -> Outcome {
    let characters = C::characters(found).ok_or(Code::InternalError)?;
    // SAFETY: the caller's promise.
    let room = unsafe { size.read_unaligned() } as usize;
    if room <= characters.len() {
        return Err(Code::MoreData);
    }
    for (at, character) in characters.iter().chain([&C::NUL]).enumerate() {
        // SAFETY: there is room for all of them.
        unsafe { buffer.add(at).write_unaligned(*character) };
    }
    // SAFETY: the caller's promise. It is smaller than the room.
    unsafe { put(size, characters.len() as u32) };
    Ok(())
}

/// FILETIME.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FileTime {
    low: u32,
    high: u32,
}

impl FileTime {
    /// Of nanoseconds since 1970.
    pub fn of(nanoseconds: i64) -> FileTime {
        let time = libreg::FileTime::of_nanoseconds(nanoseconds);
        FileTime { low: time.dwLowDateTime, high: time.dwHighDateTime }
    }
}

/// Where a self-relative security descriptor ends ([MS-DTYP] 2.4.6): it does not say so itself.
///
/// # Errors
/// `InvalidSecurityDescriptor`: it is not self-relative, or not one.
///
/// # Safety
/// It is NULL or a pointer to a security descriptor.
pub unsafe fn descriptor<'a>(sd: *const u8) -> Outcome<&'a [u8]> {
    const HEADER: usize = 20;
    const SELF_RELATIVE: u16 = 0x8000;
    if sd.is_null() {
        return Err(Code::InvalidParameter);
    }
    // SAFETY: all descriptors begin with a header of this length.
    let header = unsafe { slice::from_raw_parts(sd, HEADER) };
    let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let offset = |at: usize| u32::from(word(at)) | u32::from(word(at + 2)) << 16;
    if header[0] != 1 || word(2) & SELF_RELATIVE == 0 {
        return Err(Code::InvalidSecurityDescriptor);
    }
    let mut end = HEADER;
    for (at, is_acl) in [(4, false), (8, false), (12, true), (16, true)] {
        let offset = offset(at) as usize;
        if offset == 0 {
            continue;
        }
        // SAFETY: the header says that there is a SID or an ACL, whose first four bytes are read.
        let start = unsafe { slice::from_raw_parts(sd.add(offset), 4) };
        let length = if is_acl {
            usize::from(u16::from_le_bytes([start[2], start[3]]))
        } else {
            8 + 4 * usize::from(start[1])
        };
        end = end.max(offset.saturating_add(length));
    }
    // SAFETY: a self-relative descriptor is in one piece up to the last of its parts.
    Ok(unsafe { slice::from_raw_parts(sd, end) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(room: u32, given: bool) -> (Outcome, u32, [u8; 4]) {
        let (mut size, mut buffer) = (room, [9; 4]);
        let data = if given { buffer.as_mut_ptr() } else { std::ptr::null_mut() };
        // SAFETY: there is room for four bytes, and no more is said.
        let outcome = unsafe { put_bytes(data, &mut size, b"abc") };
        (outcome, size, buffer)
    }

    #[test]
    fn the_size_of_data_is_told_whether_there_is_room_or_not() {
        assert_eq!(room(4, true), (Ok(()), 3, *b"abc\x09"));
        assert_eq!(room(3, true), (Ok(()), 3, *b"abc\x09"));
        assert_eq!(room(2, true), (Err(Code::MoreData), 3, [9; 4]));
        assert_eq!(room(0, true), (Err(Code::MoreData), 3, [9; 4]));
        assert_eq!(room(0, false), (Ok(()), 3, [9; 4]));
        // SAFETY: nothing is given.
        let nothing = unsafe { put_bytes(std::ptr::null_mut(), std::ptr::null_mut(), b"abc") };
        assert_eq!(nothing, Ok(()));
    }

    #[test]
    fn a_name_needs_room_for_its_nul() {
        for (room, outcome, told) in
            [(4, Ok(()), 3), (3, Err(Code::MoreData), 3), (0, Err(Code::MoreData), 0)]
        {
            let (mut size, mut buffer) = (room, [0xAAAA_u16; 4]);
            let text = Text::W("abc".encode_utf16().collect());
            // SAFETY: there is room for four characters, and no more is said.
            assert_eq!(unsafe { put_text(buffer.as_mut_ptr(), &mut size, &text) }, outcome);
            assert_eq!(size, told);
            assert_eq!(buffer[3] == 0, outcome.is_ok());
        }
    }

    #[test]
    fn a_descriptor_ends_where_its_last_part_does() {
        let sd: libreg::security::SecurityDescriptor =
            "O:SYG:BAD:P(A;CI;KA;;;SY)(A;;KR;;;AU)".parse().unwrap();
        let mut bytes = sd.to_bytes();
        let length = bytes.len();
        bytes.extend([0; 32]);
        // SAFETY: it is a descriptor.
        assert_eq!(unsafe { descriptor(bytes.as_ptr()) }.map(<[u8]>::len), Ok(length));
        bytes[3] &= 0x7F;
        // SAFETY: as above.
        let absolute = unsafe { descriptor(bytes.as_ptr()) };
        assert_eq!(absolute.err(), Some(Code::InvalidSecurityDescriptor));
    }
}
