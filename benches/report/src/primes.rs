//! Primes, by trial division and, to check that, by a sieve.

use std::ops::Range;

fn is_prime(number: u32) -> bool {
    if number < 4 {
        return number > 1;
    }
    !number.is_multiple_of(2)
        && (3..).step_by(2).take_while(|odd| odd * odd <= number).all(|odd| !number.is_multiple_of(odd))
}

pub fn count(numbers: Range<u32>) -> usize {
    numbers.filter(|number| is_prime(*number)).count()
}

/// How many there are below `limit`, by the sieve of Eratosthenes.
pub fn below(limit: u32) -> usize {
    let mut composite = vec![false; limit as usize];
    let mut primes = 0;
    for number in 2..limit as usize {
        if !composite[number] {
            primes += 1;
            for multiple in (number * number..limit as usize).step_by(number) {
                composite[multiple] = true;
            }
        }
    }
    primes
}
