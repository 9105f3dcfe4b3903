//! Names for tests: what is one name in several spellings was looked up in Unicode's CaseFolding.txt, and is
//! not computed here.

/// A name: its folded spelling, and others that are the same name.
pub struct Spellings {
    pub folded: &'static str,
    pub others: &'static [&'static str],
}

impl Spellings {
    /// One of the spellings.
    pub fn pick(&self, number: u8) -> &'static str {
        let number = usize::from(number) % (self.others.len() + 1);
        number.checked_sub(1).map_or(self.folded, |other| self.others[other])
    }
}

const fn name(folded: &'static str, others: &'static [&'static str]) -> Spellings {
    Spellings { folded, others }
}

/// In the order of the bytes of the folded spellings.
pub const NAMES: [Spellings; 9] = [
    name("abc", &["ABC", "aBc", "Abc"]),
    name("abc ", &["ABC "]),
    // K: U+212A, KELVIN SIGN.
    name("k", &["K", "\u{212A}"]),
    // Sharp s: the capital folds to the small one, and neither to "ss".
    name("strasse", &["STRASSE"]),
    name("stra\u{df}e", &["STRA\u{1E9E}E", "Stra\u{df}e"]),
    // Precomposed and combining are two names.
    name("\u{e9}", &["\u{c9}"]),
    // Final sigma folds to sigma.
    name("\u{3c3}\u{3af}\u{3c3}", &["\u{3a3}\u{38a}\u{3a3}", "\u{3c3}\u{3af}\u{3c2}"]),
    // A letter beyond the BMP: U+10400 DESERET CAPITAL LETTER LONG I.
    name("\u{ffdc}x", &["\u{ffdc}X"]),
    name("\u{10428}", &["\u{10400}"]),
];
