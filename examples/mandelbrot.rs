//! Workers fill the rows of one shared picture in place, and it is written as PNG.
//! `cargo run --release --example mandelbrot -- [FILE [WIDTH]]`; without a file it goes to the directory for temporary files.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::time::Instant;

use multiprocess::{ProcessPool, RawArray, cpu_count};

type Colour = [u8; 4];

/// How many steps it takes until the point leaves, smoothed; nothing if it stays.
fn steps(re: f64, im: f64) -> Option<f64> {
    let (mut x, mut y) = (0.0_f64, 0.0_f64);
    for step in 0..1_000_u32 {
        let size = x * x + y * y;
        if size > 256.0 {
            return Some(f64::from(step) - size.ln().log2() + 4.0);
        }
        (x, y) = (x * x - y * y + re, 2.0 * x * y + im);
    }
    None
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 255")]
fn colour(steps: Option<f64>) -> Colour {
    let Some(steps) = steps else { return [0, 0, 0, 255] };
    let wave = |shift: f64| (127.5 - 127.5 * (steps.max(0.0).sqrt() * 0.9 + shift).cos()) as u8;
    [wave(0.0), wave(0.4), wave(0.9), 255]
}

/// Draws one row into its part of the picture.
fn draw(row: RawArray<Colour>, number: u32, height: u32) {
    let scale = 2.4 / f64::from(height);
    let im = (f64::from(number) + 0.5) * scale - 1.2;
    let columns = 0..u32::try_from(row.len()).expect("it was a u32 before");
    let colours: Vec<Colour> =
        columns.map(|column| colour(steps((f64::from(column) + 0.5) * scale - 2.3, im))).collect();
    row.copy_from_slice(&colours).expect("it is as long as the row");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().map_or_else(|| std::env::temp_dir().join("mandelbrot.png"), PathBuf::from);
    let width: u32 = arguments.next().map_or(Ok(1_200), |width| width.parse())?;
    let height = width * 3 / 4;

    let pool = ProcessPool::new(cpu_count())?;
    let began = Instant::now();
    let (columns, rows) = (width as usize, height as usize);
    let picture: RawArray<Colour> = RawArray::zeroed(columns * rows)?;
    let calls = (0..height).map(|number| {
        let first = number as usize * columns;
        Ok((picture.range(first..first + columns)?, number, height))
    });
    pool.starmap(draw, calls.collect::<multiprocess::Result<Vec<_>>>()?).await?;
    println!("{rows} rows by {} workers in {:.2?}", cpu_count(), began.elapsed());

    let mut encoder = png::Encoder::new(BufWriter::new(File::create(&path)?), width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.write_header()?.write_image_data(picture.to_vec().as_flattened())?;
    println!("{width} x {height} pixels in {}", path.display());
    pool.shutdown().await?;
    Ok(())
}
