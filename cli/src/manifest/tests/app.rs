//! Names, references, images, buckets, targets and environments.

use super::mistakes;

#[test]
fn references_that_lead_nowhere() {
    insta::assert_snapshot!(mistakes(
        "[app]\nname = \"reel\"\n[image.cpu]\nkind = \"cpu\"\n[secret.s3]\n\
         [bucket.library]\nurl = \"s3://videos\"\nsecret = \"s4\"\n\
         [function.f]\nhandler = \"echo\"\nimage = \"cpuu\"\n\
         volumes = { \"/videos\" = \"footage\", \"/raw\" = \"library\" }\nsecrets = [\"tokens\"]\n"
    ), @r#"
    error: no secret is named `s4`
     --> vdeploy.toml:8:10
      |
    8 | secret = "s4"
      |          ^^^^ not in this manifest
      |
      = hint: did you mean `s3`?

    error: no image is named `cpuu`
      --> vdeploy.toml:11:9
       |
    11 | image = "cpuu"
       |         ^^^^^^ not in this manifest
       |
       = hint: did you mean `cpu`?

    error: no volume is named `footage`
      --> vdeploy.toml:12:25
       |
    12 | volumes = { "/videos" = "footage", "/raw" = "library" }
       |                         ^^^^^^^^^ not in this manifest
       |
       = hint: add `[volume.footage]`

    error: `library` is a bucket, not a volume
      --> vdeploy.toml:12:45
       |
    12 | volumes = { "/videos" = "footage", "/raw" = "library" }
       |                                             ^^^^^^^^^
       |
       = hint: remove it here and name its files as `bucket://library/KEY` in arguments

    error: no secret is named `tokens`
      --> vdeploy.toml:13:12
       |
    13 | secrets = ["tokens"]
       |            ^^^^^^^^ not in this manifest
       |
       = hint: add `[secret.tokens]`
    "#);
}

#[test]
fn names() {
    insta::assert_snapshot!(mistakes(
        "[app]\nname = \"My Reel\"\n[volume.a-b]\n[volume.a_b]\n[volume.\"\"]\n\
         [function.\"../up\"]\nhandler = \"echo\"\nenv = { \"A B\" = \"\", VDEPLOY_CALL = \"\" }\n"
    ), @r#"
    error: `My Reel` can't be a name
     --> vdeploy.toml:2:8
      |
    2 | name = "My Reel"
      |        ^^^^^^^^^
      |
      = hint: use lowercase letters, digits, `-` and `_`, starting with a letter or digit, fewer than 64: `my-reel`

    error: volumes `a-b` and `a_b` are too alike
     --> vdeploy.toml:4:9
      |
    3 | [volume.a-b]
      |         --- the other one
    4 | [volume.a_b]
      |         ^^^ functions would find both as `VDEPLOY_VOLUME_A_B`
      |
      = hint: rename one of them

    error: a name can't be empty
     --> vdeploy.toml:5:9
      |
    5 | [volume.""]
      |         ^^
      |
      = hint: use lowercase letters, digits, `-` and `_`, starting with a letter or digit, fewer than 64

    error: `../up` can't be a name
     --> vdeploy.toml:6:11
      |
    6 | [function."../up"]
      |           ^^^^^^^
      |
      = hint: use lowercase letters, digits, `-` and `_`, starting with a letter or digit, fewer than 64: `up`

    error: `A B` can't be a variable's name
     --> vdeploy.toml:8:9
      |
    8 | env = { "A B" = "", VDEPLOY_CALL = "" }
      |         ^^^^^
      |
      = hint: use letters, digits and `_`, not starting with a digit

    error: `VDEPLOY_CALL` is set by vdeploy itself
     --> vdeploy.toml:8:21
      |
    8 | env = { "A B" = "", VDEPLOY_CALL = "" }
      |                     ^^^^^^^^^^^^
      |
      = hint: choose a name that doesn't start with `VDEPLOY_`
    "#);
}

#[test]
fn images() {
    insta::assert_snapshot!(mistakes(
        "[app]\nname = \"reel\"\n[image.a]\napt = [\"curl wget\"]\n\
         [image.b]\nkind = \"cpu\"\nbase = \"debian\"\ncuda = \"12\"\n\
         [image.c]\nkind = \"cude\"\nflavor = \"tiny\"\nos = \"\"\npython = \"three\"\n"
    ), @r#"
    error: image `a` starts from nothing
     --> vdeploy.toml:3:8
      |
    3 | [image.a]
      |        ^
      |
      = hint: add `kind = "cpu"`, `base = "debian:bookworm-slim"` or `dockerfile`

    error: `curl wget` isn't a Debian package
     --> vdeploy.toml:4:8
      |
    4 | apt = ["curl wget"]
      |        ^^^^^^^^^^^
      |
      = hint: name one package per string, such as `"fonts-noto-core"`

    error: an image has `kind` or `base`, not both
     --> vdeploy.toml:7:8
      |
    6 | kind = "cpu"
      |        ----- the other one
    7 | base = "debian"
      |        ^^^^^^^^
      |
      = hint: remove one of them

    error: an image of kind `cpu` has no `cuda`
     --> vdeploy.toml:8:8
      |
    8 | cuda = "12"
      |        ^^^^
      |
      = hint: use `kind = "cuda"`, or remove `cuda`

    error: `12` isn't a version
     --> vdeploy.toml:8:8
      |
    8 | cuda = "12"
      |        ^^^^
      |
      = hint: write it as `cuda = "12.4.1"`

    error: `kind` can't be `cude`
      --> vdeploy.toml:10:8
       |
    10 | kind = "cude"
       |        ^^^^^^
       |
       = hint: did you mean `cuda`?

    error: `flavor` can't be `tiny`
      --> vdeploy.toml:11:10
       |
    11 | flavor = "tiny"
       |          ^^^^^^
       |
       = hint: it may be `base`, `runtime` or `devel`

    error: `` isn't an operating system of CUDA
      --> vdeploy.toml:12:6
       |
    12 | os = ""
       |      ^^
       |
       = hint: write it as `os = "ubuntu22.04"`

    error: `three` isn't a version
      --> vdeploy.toml:13:10
       |
    13 | python = "three"
       |          ^^^^^^^
       |
       = hint: write it as `python = "3.12"`
    "#);
}

#[test]
fn buckets() {
    insta::assert_snapshot!(mistakes(
        "[app]\nname = \"reel\"\n[bucket.a]\n[bucket.b]\nurl = \"https://example.com\"\n"
    ), @r#"
    error: bucket `a` has no `url`
     --> vdeploy.toml:3:9
      |
    3 | [bucket.a]
      |         ^
      |
      = hint: add `url = "s3://BUCKET/PREFIX"`

    error: `https://example.com` isn't the address of a bucket
     --> vdeploy.toml:5:7
      |
    5 | url = "https://example.com"
      |       ^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: write it as `s3://BUCKET/PREFIX`
    "#);
}

#[test]
fn targets() {
    insta::assert_snapshot!(mistakes("[app]\nname = \"reel\"\n[target.asw]\nregion = \"eu-west-1\"\n"), @r#"
    error: unknown key `asw`
     --> vdeploy.toml:3:9
      |
    3 | [target.asw]
      |         ^^^ `[target]` has no such key
      |
      = hint: did you mean `aws`?
    "#);
}

#[test]
fn a_mistake_in_an_environment_is_one_today() {
    insta::assert_snapshot!(mistakes(
        "[app]\nname = \"reel\"\n[function.f]\nhandler = \"echo\"\n\
         [env.prod.function.f]\nmax_containers = 0\nimage = \"gpu\"\n\
         [env.prod.app]\nname = \"other\"\n"
    ), @r#"
    error: `max_containers` must be more than 0
     --> vdeploy.toml:6:18
      |
    6 | max_containers = 0
      |                  ^
      |
      = hint: leave `max_containers` out to get the default

    error: no image is named `gpu`
     --> vdeploy.toml:7:9
      |
    7 | image = "gpu"
      |         ^^^^^ not in this manifest
      |
      = hint: add `[image.gpu]`

    error: unknown key `app`
     --> vdeploy.toml:8:11
      |
    8 | [env.prod.app]
      |           ^^^ an environment has no such key
      |
      = hint: an environment may have `image`, `volume`, `secret`, `bucket`, `function` or `target`
    "#);
}
