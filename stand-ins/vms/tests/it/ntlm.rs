//! The client's side of NTLMv2, from MS-NLMP, without anything of the server's.

use hmac::{Hmac, KeyInit, Mac};
use md4::Md4;
use md5::{Digest, Md5};

/// Unicode, NTLM, extended session security, always sign, 128 bit.
const FLAGS: u32 = 0x2008_8201;
const SIGNATURE: &[u8] = b"NTLMSSP\0";

pub fn negotiate() -> Vec<u8> {
    [SIGNATURE, &1_u32.to_le_bytes(), &FLAGS.to_le_bytes(), &[0; 16]].concat()
}

/// Answers a challenge with a proof and a MIC.
pub fn authenticate(challenge: &[u8], domain: &str, user: &str, password: &str) -> Vec<u8> {
    assert_eq!((&challenge[..8], challenge[8]), (SIGNATURE, 2));
    let word = |at: usize| u32::from_le_bytes(challenge[at..at + 4].try_into().unwrap());
    let (size, at) = (usize::from(challenge[40]) | usize::from(challenge[41]) << 8, word(44) as usize);
    let info = &challenge[at..at + size];
    let at = info.windows(4).position(|head| head == [7, 0, 8, 0]).expect("the challenge carries the time");
    let time = &info[at + 4..at + 12];

    let owf = hmac(&Md4::digest(utf16(password)), &[&utf16(&user.to_uppercase()), &utf16(domain)]);
    let flagged = [&[6, 0, 4, 0, 2, 0, 0, 0], info].concat();
    let blob = [&[1, 1, 0, 0, 0, 0, 0, 0], time, &[0xaa; 8], &[0; 4], &flagged, &[0; 4]].concat();
    let proof = hmac(&owf, &[&challenge[24..32], &blob]);
    let key = hmac(&owf, &[&proof]);

    let parts = [vec![0; 24], [proof.as_slice(), &blob].concat(), utf16(domain), utf16(user), Vec::new(), Vec::new()];
    let mut message = [SIGNATURE, &3_u32.to_le_bytes()].concat();
    let mut at = 88_u32;
    for part in &parts {
        let size = u16::try_from(part.len()).unwrap().to_le_bytes();
        message.extend([size, size].concat());
        message.extend(at.to_le_bytes());
        at += u32::try_from(part.len()).unwrap();
    }
    message.extend(FLAGS.to_le_bytes());
    message.resize(88, 0);
    message.extend(parts.concat());
    let mic = hmac(&key, &[&negotiate(), challenge, &message]);
    message[72..88].copy_from_slice(&mic);
    message
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Md5>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
