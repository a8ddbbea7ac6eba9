# A program in Rust, whose memory comes from malloc.
. "${0%/*}/common"
commands=rustc
packages=rustc

prepare()
{
	cat >work.rs <<'RUST'
use std::collections::{BTreeMap, HashMap};

fn main() {
    let n: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let mut names: HashMap<String, Vec<u64>> = HashMap::new();
    for i in 0..n {
        names.entry(format!("n{}", i * 7919 % (n / 4))).or_default().push(i);
    }
    let sorted: BTreeMap<_, _> = names.iter().collect();
    let mut sum = 0u64;
    for (k, v) in &sorted {
        sum = (sum * 31 + k.len() as u64 + v[0] + v.len() as u64) % 1_000_003;
    }
    let mut buffers: Vec<Vec<u8>> = Vec::new();
    for i in 0..n / 100 {
        buffers.push(vec![i as u8; (20_000 + i * 7919 % 900_000) as usize]);
        if buffers.len() > 64 {
            sum += buffers.swap_remove((i % 64) as usize)[100] as u64;
        }
    }
    let mut grown: Vec<u64> = Vec::new();
    for i in 0..n * 8 {
        grown.push(i * 7919 % 1_000_003);
    }
    grown.sort_unstable();
    println!("{} {} {}", sorted.len(), sum, grown[grown.len() / 2]);
}
RUST
	rustc -O -o work work.rs
}

run()
{
	./work "$(pick 20000 250000)"
}

main "$@"
