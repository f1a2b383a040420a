//! The sun and the four large planets, by the symplectic steps of the Computer Language Benchmarks Game.

use std::f64::consts::PI;

const SOLAR_MASS: f64 = 4.0 * PI * PI;
const DAYS: f64 = 365.24;
const STEP: f64 = 0.01;

#[derive(Clone, Copy)]
struct Body {
    place: [f64; 3],
    velocity: [f64; 3],
    mass: f64,
}

pub struct System([Body; 5]);

fn body(place: [f64; 3], velocity: [f64; 3], mass: f64) -> Body {
    Body { place, velocity: velocity.map(|speed| speed * DAYS), mass: mass * SOLAR_MASS }
}

impl System {
    pub fn new() -> Self {
        let mut bodies = [
            body([0.0; 3], [0.0; 3], 1.0),
            body(
                [4.841_431_442_464_72, -1.160_320_044_027_428_4, -0.103_622_044_471_123_11],
                [0.001_660_076_642_744_037, 0.007_699_011_184_197_404, -0.000_069_046_001_697_206_3],
                0.000_954_791_938_424_326_6,
            ),
            body(
                [8.343_366_718_244_58, 4.124_798_564_124_305, -0.403_523_417_114_321],
                [-0.002_767_425_107_268_624, 0.004_998_528_012_349_172, 0.000_023_041_729_757_376_393],
                0.000_285_885_980_666_130_8,
            ),
            body(
                [12.894_369_562_139_131, -15.111_151_401_698_631, -0.223_307_578_892_655_73],
                [0.002_964_601_375_647_616, 0.002_378_471_739_594_809_6, -0.000_029_658_956_854_023_756],
                0.000_043_662_440_433_515_63,
            ),
            body(
                [15.379_697_114_850_917, -25.919_314_609_987_964, 0.179_258_772_950_371_18],
                [0.002_680_677_724_903_893, 0.001_628_241_700_382_423, -0.000_095_159_225_451_971_59],
                0.000_051_513_890_204_661_145,
            ),
        ];
        // The sun moves so that the whole does not.
        let momentum: [f64; 3] =
            std::array::from_fn(|axis| bodies.iter().map(|body| body.velocity[axis] * body.mass).sum());
        bodies[0].velocity = momentum.map(|part: f64| -part / SOLAR_MASS);
        Self(bodies)
    }

    /// Goes on by so many steps.
    pub fn advance(&mut self, steps: u64) {
        let bodies = &mut self.0;
        for _ in 0..steps {
            for first in 0..bodies.len() {
                for second in first + 1..bodies.len() {
                    let way: [f64; 3] =
                        std::array::from_fn(|axis| bodies[first].place[axis] - bodies[second].place[axis]);
                    let square: f64 = way.iter().map(|part| part * part).sum();
                    let pull = STEP / (square * square.sqrt());
                    let (mine, theirs) = (bodies[first].mass * pull, bodies[second].mass * pull);
                    for (axis, part) in way.into_iter().enumerate() {
                        bodies[first].velocity[axis] -= part * theirs;
                        bodies[second].velocity[axis] += part * mine;
                    }
                }
            }
            for body in &mut *bodies {
                for axis in 0..3 {
                    body.place[axis] += STEP * body.velocity[axis];
                }
            }
        }
    }

    /// Kinetic and potential energy together.
    pub fn energy(&self) -> f64 {
        let mut energy = 0.0;
        for (number, body) in self.0.iter().enumerate() {
            let speed: f64 = body.velocity.iter().map(|part| part * part).sum();
            energy += 0.5 * body.mass * speed;
            for other in &self.0[number + 1..] {
                let square: f64 = (0..3).map(|axis| (body.place[axis] - other.place[axis]).powi(2)).sum();
                energy -= body.mass * other.mass / square.sqrt();
            }
        }
        energy
    }
}
