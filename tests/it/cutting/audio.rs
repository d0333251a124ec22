//! `audio`: what is heard, how long, and how loud.

use serde_json::{Value, json};

use super::{call, called, decoded, level, make, samples, streams, world};

/// Three seconds of a tone and a picture.
const MOVIE: &str = "-f lavfi -i testsrc2=s=160x90:r=25:d=3 -f lavfi -i \
    sine=f=440:r=44100:d=3 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -shortest";

fn number(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap()
}

#[test]
fn sound_is_taken_out_and_converted_sample_by_sample() {
    let env = world("audio");
    let movie = make(&env, "a.mp4", MOVIE);
    let said =
        called(&env, "audio", &json!({ "input": movie, "output": env.project().join("copy.m4a") }));
    assert_eq!((said["copied"].as_bool(), &said["codec"]), (Some(true), &json!("aac")));
    let before = decoded(&movie, "-map 0:a -f s16le");
    assert!(
        before == decoded(&env.project().join("copy.m4a"), "-map 0:a -f s16le"),
        "a copy is identical"
    );

    for (name, codec, rate) in [
        ("b.flac", "flac", 44_100),
        ("b.wav", "pcm_s16le", 44_100),
        ("b.mp3", "mp3", 44_100),
        ("b.opus", "opus", 48_000),
        ("b.aac", "aac", 44_100),
    ] {
        let output = env.project().join(name);
        let said =
            called(&env, "audio", &json!({ "input": movie, "output": output, "verify": "full" }));
        assert_eq!((&said["codec"], &said["sample_rate"]), (&json!(codec), &json!(rate)), "{name}");
        assert_eq!(said["verified"]["method"], "decoded");
        let heard = samples(&output, 44_100).len() as f64 / 44_100.0;
        assert!((heard - 3.0).abs() < 0.1, "{name}: {heard} s");
    }
    let exact = samples(&env.project().join("b.flac"), 44_100).len();
    assert_eq!(exact, before.len() / 2, "lossless sound has every sample");
}

#[test]
fn speech_is_one_channel_of_16_khz_in_step_with_the_video() {
    let env = world("audio");
    // The sound begins half a second after the picture.
    let movie = make(
        &env,
        "late.mkv",
        "-f lavfi -i testsrc2=s=160x90:r=25:d=3 -itsoffset 0.5 -f lavfi -i \
        sine=f=440:r=48000:d=2 -c:v libx264 -preset ultrafast -c:a pcm_s16le -ac 2",
    );
    let output = env.project().join("speech.wav");
    let said = called(&env, "audio", &json!({ "input": movie, "output": output, "speech": true }));
    assert_eq!((&said["sample_rate"], &said["channels"]), (&json!(16_000), &json!(1)));
    let heard = samples(&output, 16_000);
    assert!(heard.len().abs_diff(40_000) < 64, "{}", heard.len());
    assert!(level(&heard[..7_900]) < 1e-4 && level(&heard[8_100..39_000]) > 0.05);
}

#[test]
fn loudness_reaches_its_target_and_both_figures_are_said() {
    let env = world("audio");
    let quiet =
        make(&env, "quiet.wav", "-f lavfi -i sine=f=997:r=48000:d=4 -af volume=-20dB -ac 2");
    let output = env.project().join("loud.flac");
    let said = called(&env, "audio", &json!({ "input": quiet, "output": output, "loudness": -16 }));
    let loudness = &said["loudness"];
    assert!(number(&loudness["before"]["integrated"]) < -30.0, "{loudness}");
    assert!((number(&loudness["after"]["integrated"]) + 16.0).abs() < 0.3, "{loudness}");
    assert_eq!(loudness["limited"], false);

    // A tone in noise bursts whose peaks are far above its loudness.
    let peaky = make(
        &env,
        "peaky.wav",
        "-f lavfi -i aevalsrc=0.05*sin(2764*t)+0.9*lt(mod(t\\,0.5)\\,0.002)*sin(9000*t):s=48000:d=4 -ac 2",
    );
    let output = env.project().join("limited.flac");
    let said = called(
        &env,
        "audio",
        &json!({ "input": peaky, "output": output, "loudness": -14, "true_peak": -2 }),
    );
    let loudness = &said["loudness"];
    assert_eq!(loudness["limited"], true, "{loudness}");
    assert!(number(&loudness["after"]["true_peak"]) <= -1.9, "{loudness}");

    let silence = make(&env, "silence.wav", "-f lavfi -i anullsrc=r=48000:d=1");
    let said = called(
        &env,
        "audio",
        &json!({ "input": silence, "output": env.project().join("s.wav"), "loudness": -14 }),
    );
    assert!(said["notes"][0].as_str().unwrap().contains("only silence"), "{said}");
}

#[test]
fn a_video_gets_other_sound_more_sound_or_none_and_its_picture_stays() {
    let env = world("audio");
    let movie = make(&env, "a.mp4", MOVIE);
    let song = make(&env, "song.mp3", "-f lavfi -i sine=f=880:r=44100:d=5 -ac 2");
    let picture = decoded(&movie, "-map 0:v -f rawvideo");

    let output = env.project().join("mute.mp4");
    called(&env, "audio", &json!({ "input": movie, "output": output, "mute": true }));
    assert!(streams(&output, "audio").is_empty());
    assert!(picture == decoded(&output, "-map 0:v -f rawvideo"));

    let output = env.project().join("replaced.mp4");
    let said = called(&env, "audio", &json!({ "input": movie, "output": output, "replace": song }));
    assert_eq!(said["verified"]["frames"], 75);
    let heard = samples(&output, 48_000).len() as f64 / 48_000.0;
    assert!((heard - 3.0).abs() < 0.05, "{heard} s");
    assert!(picture == decoded(&output, "-map 0:v -f rawvideo"));

    let silent =
        make(&env, "silent.mp4", "-f lavfi -i testsrc2=s=160x90:r=25:d=2 -pix_fmt yuv420p");
    let output = env.project().join("mixed.mp4");
    let layer = json!({ "input": song, "volume": -6, "start": 1.0 });
    called(&env, "audio", &json!({ "input": silent, "output": output, "mix": [layer] }));
    let heard = samples(&output, 48_000);
    assert!(level(&heard[..45_000]) < 1e-3 && level(&heard[50_000..90_000]) > 0.02);
}

#[test]
fn a_waveform_is_drawn_where_there_is_sound() {
    let env = world("audio");
    let half = make(&env, "half.wav", "-f lavfi -i aevalsrc=0.8*sin(2764*t)*lt(t\\,1):s=48000:d=2");
    let (output, drawn) = (env.project().join("o.wav"), env.project().join("w.png"));
    let said =
        called(&env, "audio", &json!({ "input": half, "output": output, "waveform": drawn }));
    assert_eq!(said["waveform"], json!(drawn));
    let pixels = decoded(&drawn, "-vf format=rgba -f rawvideo");
    assert_eq!(pixels.len(), 1600 * 240 * 4);
    let alpha = |x: usize, y: usize| pixels[(y * 1600 + x) * 4 + 3];
    assert!(alpha(400, 100) > 0 && alpha(1200, 100) == 0);
}

#[test]
fn wrong_wishes_are_answered_with_what_would_be_right() {
    let env = world("audio");
    let movie = make(&env, "a.mp4", MOVIE);
    let mut said = String::new();
    let project = env.project();
    for args in [
        json!({ "input": movie, "output": project.join("a.txt") }),
        json!({ "input": movie, "track": 4 }),
        json!({ "input": movie, "mute": true, "output": project.join("a.mp3") }),
        json!({ "input": movie, "output": project.join("a.webm"), "mute": true }),
        json!({ "input": movie, "output": project.join("a.opus"), "sample_rate": 44100 }),
    ] {
        said += &env.redact(&call(&env, "audio", &args).exits(5).stderr);
    }
    insta::assert_snapshot!(said, @"
    error: `[ROOT]/project/a.txt` doesn't say which format is wanted
      cause: `.txt` is none of .m4a, .aac, .mp3, .opus, .ogg, .flac, .wav, .mp4, .m4v, .mov, .mkv and .webm
    hint: name an output that ends in `.m4a`, or in `.mp4` to keep the picture
    error: `[ROOT]/project/a.mp4` has no audio track 4
      cause: it has 1, counted from 0
    error: `mute` leaves nothing of a file without a picture
    error: a `.webm` file can't hold `h264`, and the picture is not coded anew
    hint: name an output that ends in `.mkv`, or transcode it first
    error: `.opus` takes no sound of 44100 samples per second
    hint: use `sample_rate=48000`
    ");
    assert!(!project.join("a.mp3").exists());
}
