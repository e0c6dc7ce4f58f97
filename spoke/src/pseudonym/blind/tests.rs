//! The client against the vectors of RFC 9497, appendix A.1.2, and against answers that are not honest.
#![allow(clippy::unwrap_used)]

use super::*;
use voprf::{BlindedElement, VoprfServer};

struct Vector {
    inputs: &'static [&'static [u8]],
    blinds: &'static [&'static str],
    blinded: &'static str,
    evaluated: &'static str,
    proof: &'static str,
    outputs: &'static [&'static str],
}

const PUBLIC: &str = "c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e";
const BLIND: &str = "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706";
const LONG: &[u8] = &[0x5a; 17];
const FIRST: &str = "b58cfbe118e0cb94d79b5fd6a6dafb98";
const SECOND: &str = "8a9a2f3c7f085b65933594309041fc18";

const VECTORS: [Vector; 3] = [
    Vector {
        inputs: &[&[0]],
        blinds: &[BLIND],
        blinded: "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945",
        evaluated: "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e",
        proof: "ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd06\
                6d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d",
        outputs: &[FIRST],
    },
    Vector {
        inputs: &[LONG],
        blinds: &[BLIND],
        blinded: "cc0b2a350101881d8a4cba4c80241d74fb7dcbfde4a61fde2f91443c2bf9ef0c",
        evaluated: "60a59a57208d48aca71e9e850d22674b611f752bed48b36f7a91b372bd7ad468",
        proof: "401a0da6264f8cf45bb2f5264bc31e109155600babb3cd4e5af7d181a2c9dc0a\
                67154fabf031fd936051dec80b0b6ae29c9503493dde7393b722eafdf5a50b02",
        outputs: &[SECOND],
    },
    Vector {
        inputs: &[&[0], LONG],
        blinds: &[BLIND, "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e"],
        blinded: "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945\
                  90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654",
        evaluated: "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e\
                    cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a",
        proof: "cc203910175d786927eeb44ea847328047892ddf8590e723c37205cb74600b0a\
                5ab5337c8eb4ceae0494c2cf89529dcf94572ed267473d567aeed6ab873dee08",
        outputs: &[FIRST, SECOND],
    },
];

#[test]
fn unblinds_the_vectors_of_rfc_9497() {
    let key: LinkPublicKey = PUBLIC.parse().unwrap();
    for vector in VECTORS {
        let blinded = hex::decode(vector.blinded).unwrap();
        let clients = vector
            .blinds
            .iter()
            .zip(blinded.chunks_exact(ELEMENT))
            .map(|(blind, element)| {
                VoprfClient::deserialize(&[&hex::decode(blind).unwrap(), element].concat()).unwrap()
            })
            .collect();
        let inputs = vector.inputs.iter().map(|input| Input::Vector(input)).collect();
        let batch = Blinded { inputs, clients, message: blinded };
        let (evaluated, proof) = (hex::decode(vector.evaluated).unwrap(), hex::decode(vector.proof).unwrap());
        let entries = batch.finish(&evaluated, &proof, &key).unwrap();
        let outputs: Vec<String> = entries.0.iter().map(|entry| hex::encode(entry.p)).collect();
        assert_eq!(outputs, vector.outputs);
    }
}

fn server(seed: u8) -> (VoprfServer<Ristretto255>, LinkPublicKey) {
    let server = VoprfServer::<Ristretto255>::new_from_seed(&[seed; 32], b"test").unwrap();
    let key = hex::encode(Ristretto255::serialize_elem(server.get_public_key())).parse().unwrap();
    (server, key)
}

fn evaluate(server: &VoprfServer<Ristretto255>, message: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let elements: Vec<_> =
        message.chunks_exact(ELEMENT).map(|bytes| BlindedElement::deserialize(bytes).unwrap()).collect();
    let done = server.batch_blind_evaluate(&mut OsRng, &elements).unwrap();
    let evaluated = done.messages.iter().flat_map(|element| element.serialize()).collect();
    (evaluated, done.proof.serialize().to_vec())
}

fn inputs() -> Vec<Input> {
    let people = [101_000_000, 3_112_999_999, 0].map(Input::Person);
    people.into_iter().chain([Input::Domain("lpr.kontakt".into())]).collect()
}

#[test]
fn gives_the_function_of_the_ten_digits() {
    let (server, key) = server(1);
    let batch = blind(inputs()).unwrap();
    let (evaluated, proof) = evaluate(&server, &batch.message);
    let entries = batch.finish(&evaluated, &proof, &key).unwrap();
    let texts: [&[u8]; 4] = [b"0101000000", b"3112999999", b"0000000000", b"key-domain:lpr.kontakt"];
    for (entry, text) in entries.0.iter().zip(texts) {
        assert_eq!(entry.p, server.evaluate(text).unwrap()[..16]);
    }
    assert_eq!(entries.0.iter().map(|e| is_domain(e.id)).collect::<Vec<_>>(), [false, false, false, true]);
    // blinding hides: the same people look different each time
    assert_ne!(blind(inputs()).unwrap().message, batch.message);
}

#[test]
fn dishonest_answers_are_refused() {
    let (honest, key) = server(1);
    let (other, other_key) = server(2);
    let batch = blind(inputs()).unwrap();
    let (evaluated, proof) = evaluate(&honest, &batch.message);
    let bad = |evaluated: &[u8], proof: &[u8], key| batch.finish(evaluated, proof, key).map(|_| ()).unwrap_err();
    // another key, with its own proof; the right answer under another pinned key
    let (wrong, wrong_proof) = evaluate(&other, &batch.message);
    assert_eq!(bad(&wrong, &wrong_proof, &key), Bad::Proof);
    assert_eq!(bad(&evaluated, &proof, &other_key), Bad::Proof);
    assert_eq!(bad(&wrong, &proof, &key), Bad::Proof);
    // one element of another key
    assert_eq!(bad(&[&wrong[..32], &evaluated[32..]].concat(), &proof, &key), Bad::Proof);
    // two answers exchanged
    let exchanged = [&evaluated[32..64], &evaluated[..32], &evaluated[64..]].concat();
    assert_eq!(bad(&exchanged, &proof, &key), Bad::Proof);
    // forged proof
    let mut forged = proof.clone();
    forged[0] ^= 1;
    assert_eq!(bad(&evaluated, &forged, &key), Bad::Proof);
    // not an answer at all
    assert_eq!(bad(&evaluated[32..], &proof, &key), Bad::Malformed);
    assert_eq!(bad(&evaluated, &proof[1..], &key), Bad::Malformed);
    assert_eq!(bad(&evaluated, &[0; 64], &key), Bad::Malformed);
    assert_eq!(bad(&[&[0xff; 32], &evaluated[32..]].concat(), &proof, &key), Bad::Malformed);
    assert!(batch.finish(&evaluated, &proof, &key).is_ok());
}

#[test]
fn a_pinned_key_is_a_point() {
    assert!(PUBLIC.parse::<LinkPublicKey>().is_ok());
    assert!(format!(" {PUBLIC}\n").parse::<LinkPublicKey>().is_ok());
    for text in ["", "c803", &"0".repeat(64), &"f".repeat(64), &"x".repeat(64)] {
        assert!(text.parse::<LinkPublicKey>().is_err(), "{text}");
    }
}
