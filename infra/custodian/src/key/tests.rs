//! The key against the vectors of RFC 9497, appendix A.1.2 (ristretto255-SHA512, VOPRF mode).
#![allow(clippy::unwrap_used)]

use super::*;

const SECRET: &str = "e6f73f344b79b379f1a0dd37e07ff62e38d9f71345ce62ae3a9bc60b04ccd909";
const PUBLIC: &str = "c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e";

struct Vector {
    blinded: &'static str,
    evaluated: &'static str,
    proof: &'static str,
    proof_random: &'static str,
}

const VECTORS: [Vector; 3] = [
    Vector {
        blinded: "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945",
        evaluated: "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e",
        proof: "ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd06\
                6d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d",
        proof_random: "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e",
    },
    Vector {
        blinded: "cc0b2a350101881d8a4cba4c80241d74fb7dcbfde4a61fde2f91443c2bf9ef0c",
        evaluated: "60a59a57208d48aca71e9e850d22674b611f752bed48b36f7a91b372bd7ad468",
        proof: "401a0da6264f8cf45bb2f5264bc31e109155600babb3cd4e5af7d181a2c9dc0a\
                67154fabf031fd936051dec80b0b6ae29c9503493dde7393b722eafdf5a50b02",
        proof_random: "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e",
    },
    Vector {
        blinded: "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945\
                  90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654",
        evaluated: "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e\
                    cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a",
        proof: "cc203910175d786927eeb44ea847328047892ddf8590e723c37205cb74600b0a\
                5ab5337c8eb4ceae0494c2cf89529dcf94572ed267473d567aeed6ab873dee08",
        proof_random: "419c4f4f5052c53c45f3da494d2b67b220d02118e0857cdbcf037f9ea84bbe0c",
    },
];

/// Gives the vector's scalar: the library reduces 64 bytes, so that 32 bytes and zeros are the scalar itself.
struct Given(Vec<u8>);

impl RngCore for Given {
    fn next_u32(&mut self) -> u32 {
        0
    }

    fn next_u64(&mut self) -> u64 {
        0
    }

    fn fill_bytes(&mut self, to: &mut [u8]) {
        to.fill(0);
        to[..32].copy_from_slice(&self.0);
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), rand_core06::Error> {
        self.fill_bytes(to);
        Ok(())
    }
}

impl CryptoRng for Given {}

fn rfc_key() -> LinkageKey {
    LinkageKey::from_server(VoprfServer::new_with_key(&hex::decode(SECRET).unwrap()).unwrap())
}

#[test]
fn evaluates_the_vectors_of_rfc_9497() {
    let key = rfc_key();
    assert_eq!(hex::encode(key.public_key()), PUBLIC);
    for vector in VECTORS {
        let mut random = Given(hex::decode(vector.proof_random).unwrap());
        let done = key.evaluate_with(&hex::decode(vector.blinded).unwrap(), 10, &mut random).unwrap();
        assert_eq!(hex::encode(done.elements), vector.evaluated);
        assert_eq!(hex::encode(done.proof), vector.proof);
    }
}

#[test]
fn bad_batches_are_refused_by_name() {
    let key = LinkageKey::generate().unwrap();
    let good = hex::decode(VECTORS[0].blinded).unwrap();
    assert_eq!(key.evaluate(&[], 10), Err(BatchError::Empty));
    assert_eq!(key.evaluate(&good[..31], 10), Err(BatchError::Length { bytes: 31 }));
    assert_eq!(key.evaluate(&good.repeat(3), 2), Err(BatchError::TooMany { elements: 3, limit: 2 }));
    let identity = [good.clone(), vec![0; 32]].concat();
    assert_eq!(key.evaluate(&identity, 10), Err(BatchError::Point { index: 1 }));
    let no_point = [good.clone(), good, vec![0xff; 32]].concat();
    assert_eq!(key.evaluate(&no_point, 10), Err(BatchError::Point { index: 2 }));
}

#[test]
fn the_file_gives_the_same_key_back_and_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("linkage.key");
    let pass = Passphrase::from_text("words");
    let made = LinkageKey::create(&path, &pass).unwrap();
    let read = LinkageKey::load(&path, &pass).unwrap();
    assert_eq!(made.public_key(), read.public_key());
    assert_eq!(made.link_kid().len(), 16);
    assert!(matches!(LinkageKey::create(&path, &pass), Err(KeyError::Exists { .. })));
    let error = LinkageKey::load(&path, &Passphrase::from_text("other")).unwrap_err().to_string();
    assert!(error.contains("linkage.key") && error.contains("passphrase is wrong"), "{error}");
    assert_eq!(format!("{made:?}"), format!("LinkageKey({})", made.link_kid()));
}

#[test]
fn the_linkage_key_is_wiped_when_dropped() {
    fn wiped<T: zeroize::ZeroizeOnDrop>() {}
    wiped::<LinkageKey>();
}
