//! Layers, links and explanations as programs have them, through real LCS.

use hosted as _;
use lcs_abi::call::{CREATE_LINK, Derive, Op};
use lcs_abi::explain::{CandidateContent, Explain, ExplainAnswer, Verdict};
use lcs_abi::security::Access;
use lcs_abi::value::ValueType;
use libredox::errno::{ELOOP, ERANGE};
use libredox::{Fd, error::Result};
use registry_tests::daemons::audited;
use registry_tests::eventually::eventually;
use registry_tests::handles::{create, delete, open, root, set, value};
use registry_tests::harness::{Process, Root, session_in};
use registry_tests::puppet::{Decision, Puppet};
use registry_tests::registry::{call, derive};
use registry_tests::users::{as_user, can_become_others};

/// A user that no system has.
const ALICE: u32 = 2_000_001;

/// The layer of these tests.
const LAYER: &str = r"Machine\System\Registry\Layers\Role";

fn lcs(root: &Root) -> Process {
    root.daemon("lcs-scheme", &["--log", "debug"])
}

/// Serves the hives of every system, and in `Machine` the key of these tests, with a value in `base` and in the
/// layer `Role`.
fn serve() -> Fd {
    Puppet::in_service(&["Machine", "Users"]).serve(|_, _| Decision::Answer);
    create(&root(), LAYER).expect("a layer");
    let key = create(&root(), r"Machine\Key").expect("a key");
    put(&key, None, "from base");
    put(&key, Some("role"), "from Role");
    key
}

fn put(key: &Fd, layer: Option<&str>, text: &str) {
    set(key, layer, "Name", ValueType::Sz, text.as_bytes()).expect("a write");
}

fn errno<T>(result: Result<T>) -> Option<i32> {
    result.err().map(|error| error.errno())
}

/// What becomes of which layer's entry for the value.
fn explained(key: &Fd) -> Vec<(String, Verdict)> {
    let request = Explain::Value("NAME".to_owned());
    let answer: ExplainAnswer = call(key, Op::Explain, &request, &[]).expect("an explanation");
    answer.candidates.into_iter().map(|one| (one.layer, one.verdict)).collect()
}

#[test]
fn a_layer_that_is_made_or_deleted_is_audited() {
    session_in(lcs, |_| {
        let key = serve();
        let about = |event: &str| {
            eventually("a record", || audited(event).into_iter().next()).as_object().cloned()
        };
        let made = about("layer-created").expect("an object");
        assert_eq!((&made["layer"], &made["user"]), (&"Role".into(), &"S-1-5-18".into()));
        assert_eq!(value(&key, "Name").as_deref(), Ok(&b"from Role"[..]));
        let layer = open(&root(), LAYER, Access::DELETE).expect("the layer");
        delete(&layer).expect("a deletion");
        assert_eq!(value(&key, "Name").as_deref(), Ok(&b"from base"[..]));
        let gone = about("layer-deleted").expect("an object");
        assert_eq!((&gone["layer"], &gone["user"]), (&"Role".into(), &"S-1-5-18".into()));
    });
}

#[test]
fn a_value_is_explained_layer_by_layer_and_latent_ones_to_administrators_alone() {
    session_in(lcs, |_| {
        let key = serve();
        let candidates = |names: [(&str, Verdict); 2]| {
            names.map(|(layer, verdict)| (layer.to_owned(), verdict)).to_vec()
        };
        let both = candidates([("Role", Verdict::Wins), ("base", Verdict::Older)]);
        assert_eq!(explained(&key), both);
        let layer = open(&root(), LAYER, Access::SET_VALUE).expect("the layer");
        let off = 0_u32.to_le_bytes();
        set(&layer, None, "Enabled", ValueType::Dword, &off).expect("a setting of the layer");
        let latent = candidates([("base", Verdict::Wins), ("Role", Verdict::LayerDisabled)]);
        assert_eq!(explained(&key), latent);
        if can_become_others() {
            as_user(ALICE, ALICE, || {
                let key = open(&root(), r"Machine\Key", Access::QUERY_VALUE).expect("the key");
                assert_eq!(explained(&key), latent[..1]);
            });
        }
    });
}

#[test]
fn a_child_is_explained_and_an_explanation_that_does_not_fit_says_how_long_it_is() {
    session_in(lcs, |_| {
        let key = serve();
        let machine = open(&root(), "Machine", Access::QUERY_VALUE).expect("Machine");
        let child = Explain::Child("key".to_owned());
        let answer: ExplainAnswer =
            call(&machine, Op::Explain, &child, &[]).expect("an explanation");
        let [only] = &answer.candidates[..] else { panic!("{answer:?}") };
        assert!(matches!(only.content, CandidateContent::Key(_)), "{only:?}");
        set(&key, None, "Name", ValueType::Binary, &[7; 4000]).expect("a write");
        set(&key, Some("Role"), "Name", ValueType::Binary, &[7; 4000]).expect("a write");
        let request = Explain::Value("Name".to_owned());
        let too_long = call::<_, ExplainAnswer>(&key, Op::Explain, &request, &[]);
        assert_eq!(errno(too_long), Some(ERANGE));
    });
}

#[test]
fn links_are_followed_and_those_that_lead_in_a_circle_are_eloop() {
    session_in(lcs, |_| {
        serve();
        let link = |path: &str, target: &str| {
            let create = Derive::CreateKey {
                path: path.into(),
                access: Access::KEY_READ.bits(),
                layer: None,
                flags: CREATE_LINK,
                link_target: Some(target.into()),
            };
            derive(&root(), &create).expect("a link");
        };
        link(r"Machine\Link", r"Machine\Key");
        let key = open(&root(), r"Machine\Link", Access::QUERY_VALUE).expect("its target");
        assert_eq!(value(&key, "Name").as_deref(), Ok(&b"from Role"[..]));
        link(r"Machine\There", r"Machine\Back");
        link(r"Machine\Back", r"Machine\There");
        assert_eq!(errno(open(&root(), r"Machine\There", Access::KEY_READ)), Some(ELOOP));
    });
}
