//! The worked example of MS-NLMP, section 4.2: user `User` of `Domain` with the password `Password`.

use super::*;

const NONCE: [u8; 8] = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
/// Attribute pairs of the example: its domain and its server.
const INFO: &str = "02000c0044006f006d00610069006e0001000c005300650072007600650072000000000000000000";
const PROOF: &str = "68cd0ab851e51c96aabc927bebef6a1c";
const ENCRYPTED_KEY: &str = "c5dad2544fc9799094ce1ce90bc9d03e";

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn negotiate() -> Vec<u8> {
    let flags = UNICODE | EXTENDED_SESSION_SECURITY | KEY_EXCHANGE | KEY_128 | SIGN;
    [SIGNATURE.as_slice(), &1_u32.to_le_bytes(), &flags.to_le_bytes(), &[0; 24]].concat()
}

/// Returns the authenticate message of the example.
fn authenticate(proof: &str, encrypted_key: &str, info: &str) -> Vec<u8> {
    let blob = hex(&format!("01010000000000000000000000000000aaaaaaaaaaaaaaaa00000000{info}"));
    let parts = [vec![0; 24], [hex(proof), blob].concat(), utf16("Domain"), utf16("User"), utf16("COMPUTER")];
    let mut message = [SIGNATURE.as_slice(), &3_u32.to_le_bytes()].concat();
    let mut at = 88;
    for part in parts.iter().chain([&hex(encrypted_key)]) {
        message.extend(field(part.len(), at));
        at += u32::from(length(part));
    }
    message.extend((UNICODE | KEY_EXCHANGE | KEY_128 | SIGN).to_le_bytes());
    message.resize(88, 0);
    message.extend(parts.concat());
    message.extend(hex(encrypted_key));
    message
}

fn handshake() -> Handshake {
    Handshake::new(&negotiate(), "Domain", "Server", NONCE, UNIX_EPOCH).unwrap()
}

#[test]
fn the_published_key_proof_and_session_key_are_met() {
    assert_eq!(ntowf_v2("User", "Domain", "Password").to_vec(), hex("0c868a403bfd7a93a3001ef22ef02e3f"));
    let message = authenticate(PROOF, ENCRYPTED_KEY, INFO);
    let read = Authenticate::read(&message).unwrap();
    assert_eq!((read.domain.as_str(), read.user.as_str()), ("Domain", "User"));
    let session = handshake().verify(&read, "Password").unwrap();
    assert_eq!(session.key, [0x55; 16]);
    assert!(handshake().verify(&read, "password").is_none());
}

#[test]
fn the_published_signature_is_met() {
    let session = Session { key: [0x55; 16], flags: KEY_EXCHANGE | KEY_128 };
    // The example encrypts its 18 bytes of text first, so its checksum is under a later part of the key stream; without
    // key exchange the checksum stays bare.
    let bare = Session { flags: 0, ..session };
    let signing = hex("4788dc861b4782f35d43fd98fe1a2d39");
    let sum = digest(hmac(signing.as_slice().try_into().unwrap(), &[&[0; 4], &utf16("Plaintext")]));
    assert_eq!(bare.signature(&utf16("Plaintext"), false)[4..12], sum[..8]);
    let mut stream = Rc4::new(&hex("59f600973cc4960a25480a7c196e4c58"));
    assert_eq!(
        stream.apply(<[u8; 18]>::try_from(utf16("Plaintext")).unwrap()).to_vec(),
        hex("54e50165bf1936dc996020c1811b0f06fb5f")
    );
    assert_eq!(stream.apply(<[u8; 8]>::try_from(&sum[..8]).unwrap()).to_vec(), hex("7fb38ec5c55d4976"));
}

#[test]
fn a_client_that_promises_a_mic_must_keep_it() {
    // Flags 2 before the end of the list; the proof is right for that list.
    let info = format!("0600040002000000{INFO}");
    let blob = hex(&format!("01010000000000000000000000000000aaaaaaaaaaaaaaaa00000000{info}"));
    let owf = ntowf_v2("User", "Domain", "Password");
    let proof = digest(hmac(&owf, &[&NONCE, &blob]));
    let base = digest(hmac(&owf, &[&proof]));
    let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut message = authenticate(&text(&proof), &text(&Rc4::new(&base).apply([0x55; 16])), &info);
    let handshake = handshake();
    assert!(handshake.verify(&Authenticate::read(&message).unwrap(), "Password").is_none());
    let mic = digest(hmac(&[0x55; 16], &[&negotiate(), &handshake.challenge, &message]));
    message[MIC].copy_from_slice(&mic);
    assert!(handshake.verify(&Authenticate::read(&message).unwrap(), "Password").is_some());
}

#[test]
fn torn_messages_are_refused() {
    let whole = authenticate(PROOF, ENCRYPTED_KEY, INFO);
    for end in 0..whole.len() {
        let accepted =
            Authenticate::read(&whole[..end]).and_then(|message| handshake().verify(&message, "Password").map(|_| ()));
        assert!(accepted.is_none(), "{end}");
    }
    for end in 0..16 {
        assert!(Handshake::new(&negotiate()[..end], "D", "S", NONCE, UNIX_EPOCH).is_none());
    }
    // Every length and offset at its largest.
    let mut wild = whole.clone();
    wild[12..60].fill(0xff);
    assert!(Authenticate::read(&wild).is_none());
}
