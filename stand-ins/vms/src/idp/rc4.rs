//! RC4, which NTLM still uses for keys and signatures.

pub(crate) struct Rc4 {
    state: [u8; 256],
    i: u8,
    j: u8,
}

impl Rc4 {
    pub(crate) fn new(key: &[u8]) -> Self {
        let mut cipher = Self { state: std::array::from_fn(|n| n.to_le_bytes()[0]), i: 0, j: 0 };
        for (n, byte) in (0..=255_u8).zip(key.iter().cycle()) {
            cipher.j = cipher.j.wrapping_add(cipher.at(n)).wrapping_add(*byte);
            cipher.state.swap(n.into(), cipher.j.into());
        }
        cipher.j = 0;
        cipher
    }

    fn at(&self, n: u8) -> u8 {
        self.state.get(usize::from(n)).copied().unwrap_or_default()
    }

    /// Encrypts or decrypts the next bytes of the stream.
    pub(crate) fn apply<const N: usize>(&mut self, bytes: [u8; N]) -> [u8; N] {
        bytes.map(|byte| {
            self.i = self.i.wrapping_add(1);
            self.j = self.j.wrapping_add(self.at(self.i));
            self.state.swap(self.i.into(), self.j.into());
            byte ^ self.at(self.at(self.i).wrapping_add(self.at(self.j)))
        })
    }
}
