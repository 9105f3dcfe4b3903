//! The names that occur, each with its spellings, in the order of the bytes of the folded ones.

macro_rules! names {
    ($($name:ident: $folded:literal $(, $other:literal)*;)*) => {
        /// A name, whatever its spelling.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Name { $($name),* }

        /// All of them.
        pub const NAMES: &[Name] = &[$(Name::$name),*];

        const SPELLINGS: &[&[&str]] = &[$(&[$folded $(, $other)*]),*];
    };
}

names! {
    Default: "";
    A: "a", "A";
    B: "b", "B";
    Base: "base", "Base";
    C: "c", "C";
    Cache: "cachebytes", "CacheBytes";
    CurrentUser: "currentuser", "CurrentUser";
    Enabled: "enabled", "Enabled";
    Kelvin: "k", "K", "\u{212A}";
    Layers: "layers", "Layers";
    Local: "local", "Local", "LOCAL";
    Machine: "machine", "Machine";
    Depth: "maxsubtreewatchdepth", "MaxSubtreeWatchDepth";
    Burst: "maxtransactionwatcheventburst", "MaxTransactionWatchEventBurst";
    Queue: "notificationqueuesize", "NotificationQueueSize";
    PendingDeletion: "pendingdeletion", "PendingDeletion";
    Policy: "policy", "Policy", "POLICY";
    Precedence: "precedence", "Precedence";
    Private: "private", "Private";
    Registry: "registry", "Registry";
    Role1: "role1", "Role1", "ROLE1";
    Role2: "role2", "Role2";
    Scopes: "scopes", "Scopes";
    System: "system", "System";
    Test: "test", "Test";
}

/// A layer, by its name.
pub type Layer = Name;

pub const FIRST: Name = Name::Default;
pub const LAST: Name = Name::Test;

/// The layers that come and go.
pub const LAYERS: [Layer; 5] =
    [Layer::Local, Layer::Policy, Layer::Private, Layer::Role1, Layer::Role2];

impl Name {
    pub fn folded(self) -> &'static str {
        SPELLINGS[self as usize][0]
    }

    /// One of the spellings.
    pub fn spelled(self, number: u8) -> Spelled {
        let spellings = SPELLINGS[self as usize];
        Spelled { name: self, text: spellings[usize::from(number) % spellings.len()] }
    }

    /// The usual spelling.
    pub fn usual(self) -> Spelled {
        self.spelled(u8::from(SPELLINGS[self as usize].len() > 1))
    }
}

/// A name as somebody spelled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spelled {
    pub name: Name,
    pub text: &'static str,
}

/// What links are pointed at: the text, and the path that it is, if it is one.
pub const TARGETS: [(&str, Option<&[Name]>); 9] = [
    ("Test\\a", Some(&[Name::Test, Name::A])),
    ("Test\\b", Some(&[Name::Test, Name::B])),
    ("test/c/A", Some(&[Name::Test, Name::C, Name::A])),
    ("Test", Some(&[Name::Test])),
    ("Machine\\a", Some(&[Name::Machine, Name::A])),
    ("Machine\\k\0", Some(&[Name::Machine, Name::Kelvin])),
    ("CurrentUser\\a", Some(&[Name::CurrentUser, Name::A])),
    ("", None),
    ("\\Test", None),
];

#[test]
fn names_are_in_the_order_of_their_bytes() {
    assert!(SPELLINGS.is_sorted_by(|a, b| a[0] < b[0]));
    assert_eq!(SPELLINGS.len(), LAST as usize + 1);
}
