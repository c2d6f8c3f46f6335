use std::time::Duration;
fn main() {
    let json = std::env::args().nth(1).unwrap();
    let format = if json.ends_with(".json") { runtime::trace::Format::Chrome } else { runtime::trace::Format::Perfetto };
    let rt = runtime::Builder::new().procs(2).name("sample").build().unwrap();
    runtime::trace::start_as(format, std::fs::File::create(&json).unwrap()).unwrap();
    rt.run(|| {
        let (tx, rx) = channels::bounded::<u32>(0);
        let reader = runtime::go!(name = "reader", move || {
            let _r = runtime::trace::region("reading");
            let mut sum = 0;
            while let Ok(v) = rx.recv() { sum += v; }
            runtime::trace::log("result", sum);
        });
        let workers: Vec<_> = (0..4).map(|i| { let tx = tx.clone(); runtime::go!(move || {
            for j in 0..5 { tx.send(i * j).unwrap(); runtime::yield_now(); }
            runtime::time::sleep(Duration::from_millis(2));
            runtime::blocking(|| std::thread::sleep(Duration::from_millis(3)));
        })}).collect();
        drop(tx);
        let hog = runtime::go!(name = "hog", || { std::thread::sleep(Duration::from_millis(20)); });
        for w in workers { w.join().unwrap(); }
        reader.join().unwrap();
        hog.join().unwrap();
    });
    println!("{:?}", runtime::trace::stop());
}
