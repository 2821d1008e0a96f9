//! 4xx: addresses.

use palisade_manifest::{Safety, ServerVersion};

use crate::support::{at, findings_on, finds, mended, policy, quiet, service};

fn to(peers: &str) -> String {
    policy("p", &format!("  podSelector: {{}}\n  policyTypes: [Egress]\n  egress:\n  - to:\n{peers}"))
}

const CIDR: &str = "spec.egress[0].to[0].ipBlock.cidr";

#[test]
fn np401_ip_block_over_pods() {
    let pods = [at("prod/a", "app: web", "10.244.1.7"), at("prod/b", "app: web", "10.244.1.8")];
    let said = finds("NP401", &[&[to("    - ipBlock: {cidr: 10.244.1.0/24}")], &pods[..]].concat(), CIDR, 9);
    assert!(said.contains("prod/a and of one more pod"), "{said}");
    quiet("NP401", &[&[to("    - ipBlock: {cidr: 10.244.2.0/24}")], &pods[..]].concat());
    quiet("NP401", &[&[to("    - ipBlock: {cidr: 10.0.0.0/8, except: [10.244.0.0/16]}")], &pods[..]].concat());
    quiet("NP401", &[&[to("    - ipBlock: {cidr: 0.0.0.0/0}")], &pods[..]].concat());
}

#[test]
fn np402_service_address() {
    let front = || service("front", "10.96.0.10", "{port: 80}");
    let said = finds("NP402", &[to("    - ipBlock: {cidr: 10.96.0.10/32}"), front()], CIDR, 9);
    assert!(said.contains("prod/front"), "{said}");
    finds("NP402", &[to("    - ipBlock: {cidr: 10.96.0.0/12}"), front()], CIDR, 9);
    quiet("NP402", &[to("    - ipBlock: {cidr: 10.96.1.0/24}"), front()]);
    // A company's network, of which the Services are a part.
    quiet("NP402", &[to("    - ipBlock: {cidr: 10.0.0.0/8}"), front()]);
    quiet("NP402", &[to("    - ipBlock: {cidr: 10.96.0.0/16}"), front(), at("prod/a", "app: web", "10.96.3.3")]);
}

#[test]
fn np403_one_family_internet() {
    let dual = || at("prod/a", "app: web", "10.244.1.7, fd00::7");
    let said = finds("NP403", &[to("    - ipBlock: {cidr: 0.0.0.0/0}"), dual()], CIDR, 9);
    assert!(said.contains("::/0"), "{said}");
    quiet("NP403", &[to("    - ipBlock: {cidr: 0.0.0.0/0}\n    - ipBlock: {cidr: '::/0'}"), dual()]);
    quiet("NP403", &[to("    - ipBlock: {cidr: 0.0.0.0/0}\n  - to:\n    - ipBlock: {cidr: '::/0'}"), dual()]);
    quiet("NP403", &[to("    - ipBlock: {cidr: 0.0.0.0/0}"), at("prod/a", "app: web", "10.244.1.7")]);
}

#[test]
fn np404_useless_except() {
    let block = "    - ipBlock:\n        cidr: 0.0.0.0/0\n        except:\n        - 10.0.0.0/8\n";
    let inner = format!("{block}        - 10.1.0.0/16");
    finds("NP404", &[to(&inner)], "spec.egress[0].to[0].ipBlock.except[1]", 13);
    let again = format!("{block}    - ipBlock: {{cidr: 10.0.0.0/8}}");
    finds("NP404", &[to(&again)], "spec.egress[0].to[0].ipBlock.except[0]", 12);
    quiet("NP404", &[to(&format!("{block}        - 192.168.0.0/16"))]);
    quiet("NP404", &[to(&format!("{block}    - ipBlock: {{cidr: 10.1.0.0/16}}"))]);
}

#[test]
fn np405_whole_internet_egress() {
    finds("NP405", &[to("    - ipBlock: {cidr: 0.0.0.0/0}")], CIDR, 9);
    quiet("NP405", &[to("    - ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}")]);
    let ingress = "  podSelector: {}\n  ingress:\n  - from: [{ipBlock: {cidr: 0.0.0.0/0}}]";
    quiet("NP405", &[policy("p", ingress)]);
}

#[test]
fn np406_odd_network() {
    let from = |cidr: &str| {
        policy("p", &format!("  podSelector: {{}}\n  ingress:\n  - from: [{{ipBlock: {{cidr: \"{cidr}\"}}}}]"))
    };
    let older = |cidr: &str| findings_on(ServerVersion::V1_35, "NP406", &[from(cidr)]);
    for (cidr, network) in [("10.1.2.3/8", "10.0.0.0/8"), ("::ffff:10.0.0.0/104", "10.0.0.0/8")] {
        let found = older(cidr);
        assert!(found.len() == 1 && found[0].message.contains("servers from 1.36 on refuse it"), "{found:#?}");
        assert_eq!(found[0].help, [format!("write `{network}`")]);
    }
    assert!(older("10.0.0.0/8").is_empty());
    let long = from("2001:0db8::/32");
    assert!(
        finds("NP406", std::slice::from_ref(&long), "spec.ingress[0].from[0].ipBlock.cidr", 7)
            .contains("`2001:db8::/32`")
    );
    assert_eq!(mended("NP406", &[long]), Some((Safety::Safe, from("2001:db8::/32"))));
    quiet("NP406", &[from("2001:db8::/32")]);
}
