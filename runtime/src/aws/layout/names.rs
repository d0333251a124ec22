//! Names of resources, short enough for each service.

use sha2::{Digest, Sha256};

/// Names of what an app has in an account, beside what its bucket holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    environment: String,
    app: String,
}

impl Names {
    /// Names in `environment` for `app`.
    pub fn of(environment: impl Into<String>, app: impl Into<String>) -> Self {
        Names { environment: environment.into(), app: app.into() }
    }

    /// A name for `thing` that is no longer than `limit`: what is too long ends in a hash of all.
    pub fn name(&self, thing: &str, limit: usize) -> String {
        shorten(&format!("vdeploy-{}-{}-{thing}", self.environment, self.app), limit)
    }

    /// The job definition of a function: 128 characters of letters, digits, `-` and `_`.
    pub fn job_definition(&self, function: &str) -> String {
        self.name(function, 128)
    }

    /// The job queue of functions that need `family`, such as `cpu` or `l4`.
    pub fn queue(&self, family: &str) -> String {
        self.name(family, 128)
    }

    /// The compute environment of a kind such as `l4-spot`. A suffix of 7 characters, by which a
    /// replacement differs from what it replaces, has room.
    pub fn compute_environment(&self, kind: &str) -> String {
        self.name(kind, 121)
    }

    /// The Lambda function of a function: 64 characters.
    pub fn lambda(&self, function: &str) -> String {
        self.name(function, 64)
    }

    /// An IAM role or instance profile: 64 characters.
    pub fn role(&self, purpose: &str) -> String {
        self.name(purpose, 64)
    }

    /// The ECR repository of an image, which is written with slashes.
    pub fn repository(&self, image: &str) -> String {
        format!("vdeploy/{}/{}/{image}", self.environment, self.app).to_ascii_lowercase()
    }

    /// The tag of an image in a repository that holds others too: 128 characters.
    pub fn image_tag(&self, image: &str, content: &str) -> String {
        let of_image = format!("{}-{}-{image}", self.environment, self.app);
        format!("{}-{content}", shorten(&of_image, 127 - content.len()))
    }

    /// The CloudWatch log group of a function.
    pub fn log_group(&self, function: &str) -> String {
        format!("/vdeploy/{}/{}/{function}", self.environment, self.app)
    }
}

/// The secret `name` of an environment in Secrets Manager; its value is a JSON object of the
/// secret's keys.
pub fn secret(environment: &str, name: &str) -> String {
    format!("vdeploy/{environment}/{name}")
}

fn shorten(name: &str, limit: usize) -> String {
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
        .collect();
    if name.len() <= limit {
        return name;
    }
    let hash: [u8; 32] = Sha256::digest(&name).into();
    let hash: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{hash}", &name[..limit - hash.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_fit_and_stay_apart() {
        let names = Names::of("main", "a".repeat(60));
        let (one, other) = (names.lambda("one"), names.lambda("other"));
        assert_eq!((one.len(), other.len()), (64, 64));
        assert_ne!(one, other);
        assert_eq!(Names::of("main", "reel").lambda("probe"), "vdeploy-main-reel-probe");
        assert_eq!(names.image_tag(&"b".repeat(63), "0123456789abcdef").len(), 128);
        assert_eq!(Names::of("main", "reel").image_tag("cpu", "01"), "main-reel-cpu-01");
    }
}
