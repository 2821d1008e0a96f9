//! Answers as servers send them, and as nobody should believe them.

use proptest::prelude::*;

use super::*;

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> =
        labels.flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

/// An answer with these flags to one question, with records of a name, a type, a TTL and data.
fn message(flags: u16, question: (&str, u16), records: &[(&str, u16, u32, Vec<u8>)]) -> Vec<u8> {
    let count = u16::try_from(records.len()).unwrap();
    let mut bytes: Vec<u8> = [7, flags, 1, count, 0, 0].into_iter().flat_map(u16::to_be_bytes).collect();
    bytes.extend(name(question.0));
    bytes.extend([question.1, 1].into_iter().flat_map(u16::to_be_bytes));
    for (owner, kind, ttl, data) in records {
        bytes.extend(name(owner));
        bytes.extend([*kind, 1].into_iter().flat_map(u16::to_be_bytes));
        bytes.extend(ttl.to_be_bytes());
        bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend(data);
    }
    bytes
}

const ANSWER: u16 = 0x8180;

fn a(owner: &str, ttl: u32, last: u8) -> (&str, u16, u32, Vec<u8>) {
    (owner, A, ttl, vec![203, 0, 113, last])
}

fn learned(bytes: &[u8]) -> Option<(String, Vec<String>, u32)> {
    let answer = read(bytes)?;
    let addresses = answer.addresses.iter().map(ToString::to_string).collect();
    Some((answer.name.to_string(), addresses, answer.ttl))
}

fn some(name: &str, addresses: &[&str], ttl: u32) -> Option<(String, Vec<String>, u32)> {
    Some((name.to_owned(), addresses.iter().map(ToString::to_string).collect(), ttl))
}

#[test]
fn addresses_of_the_name_that_was_asked() {
    let two = message(ANSWER, ("API.example.com", A), &[a("api.example.com", 60, 7), a("api.EXAMPLE.com", 30, 8)]);
    assert_eq!(learned(&two), some("api.example.com", &["203.0.113.7", "203.0.113.8"], 30));
    let six = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7].to_vec();
    let v6 = message(ANSWER, ("api.example.com", AAAA), &[("api.example.com", AAAA, 5, six)]);
    assert_eq!(learned(&v6), some("api.example.com", &["2001:db8::7"], 5));
}

#[test]
fn a_chain_of_other_names_is_followed() {
    let chain = [
        ("www.example.com", CNAME, 20, name("a.cdn.net")),
        ("a.cdn.net", CNAME, 300, name("b.cdn.net")),
        a("b.cdn.net", 60, 9),
    ];
    assert_eq!(
        learned(&message(ANSWER, ("www.example.com", A), &chain)),
        some("www.example.com", &["203.0.113.9"], 20)
    );
    let circle =
        [("x.example.com", CNAME, 20, name("y.example.com")), ("y.example.com", CNAME, 20, name("x.example.com"))];
    assert_eq!(learned(&message(ANSWER, ("x.example.com", A), &circle)), None);
}

#[test]
fn what_nobody_asked_is_not_learned() {
    let other = [a("evil.example.net", 60, 6)];
    assert_eq!(learned(&message(ANSWER, ("api.example.com", A), &other)), None, "another name's address");
    let beside = [a("api.example.com", 60, 7), a("evil.example.net", 60, 6)];
    assert_eq!(
        learned(&message(ANSWER, ("api.example.com", A), &beside)),
        some("api.example.com", &["203.0.113.7"], 60)
    );
    let good = [a("api.example.com", 60, 7)];
    assert_eq!(learned(&message(0x0180, ("api.example.com", A), &good)), None, "a question");
    assert_eq!(learned(&message(ANSWER | 3, ("api.example.com", A), &good)), None, "no such name");
    assert_eq!(learned(&message(ANSWER, ("api.example.com", AAAA), &good)), None, "another type");
    for address in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [169, 254, 169, 254]] {
        let odd = [("api.example.com", A, 60, address.to_vec())];
        assert_eq!(learned(&message(ANSWER, ("api.example.com", A), &odd)), None, "{address:?}");
    }
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1].to_vec();
    let odd = [("api.example.com", AAAA, 60, mapped)];
    assert_eq!(learned(&message(ANSWER, ("api.example.com", AAAA), &odd)), None);
}

#[test]
fn an_answer_that_ends_too_early_says_nothing() {
    let whole = message(ANSWER, ("api.example.com", A), &[a("api.example.com", 60, 7), a("api.example.com", 60, 8)]);
    for length in 0..whole.len() {
        assert_eq!(learned(&whole[..length]), None, "{length} bytes");
    }
    // Cut short by the server, at a record's end and with the bit that says so.
    let cut = message(ANSWER | 0x0200, ("api.example.com", A), &[a("api.example.com", 60, 7)]);
    assert_eq!(learned(&cut), some("api.example.com", &["203.0.113.7"], 60));
}

#[test]
fn a_flood_of_addresses_is_bounded() {
    let records: Vec<_> = (0..2000_u16).map(|n| ("a.io", A, 60, [[198, 18], n.to_be_bytes()].concat())).collect();
    assert_eq!(read(&message(ANSWER, ("a.io", A), &records)).unwrap().addresses.len(), ADDRESSES);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        _ = read(&bytes);
    }

    /// Whatever is changed in an answer, what is learned is of a name that its question has.
    #[test]
    fn no_change_makes_another_name_learned(at in 0..80_usize, to in any::<u8>()) {
        let records = [("www.example.com", CNAME, 20, name("b.io")), a("b.io", 60, 9)];
        let mut bytes = message(ANSWER, ("www.example.com", A), &records);
        let at = at % bytes.len();
        bytes[at] = to;
        if let Some(answer) = read(&bytes) {
            let message = Message::from_octets(&bytes[..]).unwrap();
            let asked = message.sole_question().unwrap().qname().to_string().to_ascii_lowercase();
            prop_assert_eq!(answer.name.as_str(), asked.as_str());
        }
    }
}
