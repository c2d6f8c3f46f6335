use std::time::Instant;
fn main() {
    let n: usize = std::env::args().nth(1).map_or(1, |s| s.parse().unwrap());
    let rt = runtime::start(n);
    assert_eq!(rt.run(|| 42), 42);
    rt.run(|| {
        for _ in 0..3 {
            let t = Instant::now();
            let hs: Vec<_> = (0..2).map(|_| runtime::go!(|| for _ in 0..1_000_000 { runtime::yield_now() })).collect();
            for h in hs { h.join().unwrap() }
            println!("yield {:.1}", t.elapsed().as_nanos() as f64 / 2e6);
            let t = Instant::now();
            for i in 0..1_000_000 { assert_eq!(runtime::go!(move || i).join().unwrap(), i); }
            println!("spawn_join {:.1}", t.elapsed().as_nanos() as f64 / 1e6);
            fn fib(n: usize) -> usize { if n < 2 { n } else { let h = runtime::go!(move || fib(n - 1)); let y = fib(n - 2); h.join().unwrap() + y } }
            let t = Instant::now();
            assert_eq!(fib(24), 46368);
            println!("fib {:.1}", t.elapsed().as_nanos() as f64 / 75024.);
            let t = Instant::now();
            for _ in 0..1_000_000 { runtime::go!(|| {}); }
            println!("spawn {:.1}", t.elapsed().as_nanos() as f64 / 1e6);
        }
    });
    println!("{}", rt.schedtrace(true).lines().take(8).collect::<Vec<_>>().join("\n"));
    drop(rt);
    println!("down {}", std::fs::read_dir("/proc/self/task").unwrap().count());
}
