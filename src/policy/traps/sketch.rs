//! How many different things were seen, in a few bytes (Flajolet and others, "HyperLogLog", 2007).

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Counts distinct hashes: with 256 registers to about 6 %, with 64 to about 13 %.
#[derive(Clone, Debug)]
pub(super) struct Sketch<const N: usize> {
    registers: [u8; N],
    count: u32,
}

impl<const N: usize> Default for Sketch<N> {
    fn default() -> Self {
        Self {
            registers: [0; N],
            count: 0,
        }
    }
}

impl<const N: usize> Sketch<N> {
    /// Takes a hash in; the same one again changes nothing.
    pub(super) fn add(&mut self, hash: u64) {
        let register = &mut self.registers[hash as usize % N];
        // The lowest bits have chosen the register.
        let rank = (hash >> 16).trailing_zeros().min(47) as u8 + 1;
        if rank > *register {
            *register = rank;
            self.count = estimate(&self.registers);
        }
    }

    /// About how many there were.
    pub(super) fn count(&self) -> u32 {
        self.count
    }
}

fn estimate(registers: &[u8]) -> u32 {
    let size = registers.len() as f64;
    let alpha = 0.7213 / (1.0 + 1.079 / size);
    let sum: f64 = registers
        .iter()
        .map(|rank| 0.5_f64.powi(i32::from(*rank)))
        .sum();
    let raw = alpha * size * size / sum;
    let empty = memchr::memchr_iter(0, registers).count();
    if raw <= 2.5 * size && empty > 0 {
        (size * (size / empty as f64).ln()).round() as u32
    } else {
        raw.round() as u32
    }
}

/// A hash that needs no secret: who makes it collide is counted less, up to other limits.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_things_are_counted() {
        let check = |distinct: u32| {
            let mut large = Sketch::<256>::default();
            let mut small = Sketch::<64>::default();
            for _ in 0..2 {
                for number in 0..distinct {
                    large.add(hash(&number.to_le_bytes()));
                    small.add(hash(&number.to_le_bytes()));
                }
            }
            let error = |count: u32| (f64::from(count) / f64::from(distinct) - 1.0).abs();
            assert!(error(large.count()) < 0.15, "{distinct} {}", large.count());
            assert!(error(small.count()) < 0.35, "{distinct} {}", small.count());
        };
        assert_eq!(Sketch::<64>::default().count(), 0);
        for distinct in [1, 10, 100, 1_000, 20_000, 200_000] {
            check(distinct);
        }
    }
}
