//! Frames that `detect` takes as planes, against what ffmpeg itself makes of them.

use std::process::Command;

use vdeploy_runtime::detect::letterbox::{Letterbox, Scratch};
use vdeploy_runtime::detect::picture::{Form, Frame, Planes, Rgb};
use vdeploy_runtime::ffmpeg::filter::Matrix;

use crate::rig::{Rig, ffmpeg};

const SIZE: (u32, u32) = (322, 182);

fn frames(clip: &str, format: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i", clip, "-filter_complex", "[0:v]null[v]", "-map", "[v]"])
        .args(["-pix_fmt", format, "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn picture(form: Form, bytes: &[u8], size: (u32, u32)) -> Vec<f32> {
    let frame = Frame::<Rgb>::new(SIZE, form, bytes.to_vec()).unwrap();
    let mut planes = Planes::black(1, size);
    Letterbox::new(SIZE, size).fill(&frame, &mut planes, 0, &mut Scratch::default());
    planes.values().to_vec()
}

#[test]
fn planes_become_the_pictures_that_ffmpeg_makes() {
    let rig = Rig::new();
    for (name, space, matrix) in
        [("hd", "bt709", Matrix::Bt709), ("sd", "smpte170m", Matrix::Smpte170m)]
    {
        let clip = rig.path(&format!("{name}.mp4")).display().to_string();
        let source =
            format!("testsrc2=size={}x{}:duration=0.2,noise=alls=60:allf=t", SIZE.0, SIZE.1);
        ffmpeg(
            &format!(
                "-f lavfi -i {source} -pix_fmt yuv420p -c:v libx264 -qp 0 -colorspace {space}"
            ),
            &[&clip],
        );
        let (yuv, rgb) = (frames(&clip, "yuv420p"), frames(&clip, "rgb24"));
        let form = Form::Planes420(matrix);
        let (each, whole) =
            (Frame::<Rgb>::bytes_of(SIZE, form), Frame::<Rgb>::bytes_of(SIZE, Form::Pixels));
        assert_eq!(yuv.len() / each, rgb.len() / whole);
        // Between pixels, exactly half, and as it is.
        for size in [(96, 96), (161, 91), SIZE] {
            for (yuv, rgb) in yuv.chunks_exact(each).zip(rgb.chunks_exact(whole)) {
                let (ours, theirs) = (picture(form, yuv, size), picture(Form::Pixels, rgb, size));
                let off = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                // libswscale rounds as it likes where it has instructions of another processor.
                let most = if cfg!(target_arch = "x86_64") { 0.0 } else { 3.0 / 255.0 };
                assert!(off <= most, "{name} at {size:?}: {off}");
            }
        }
    }
}
