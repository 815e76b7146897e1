//! What was read from files and follows them: keys and certificates, renewed while the server runs. The reload thread
//! looks at the files every few seconds. It compares what is in them, which every way of replacing a file changes.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ring::digest::{Context as Hash, SHA256};

/// The most bytes of one file. Keys and chains of certificates have some thousand.
const LARGEST: u64 = 1024 * 1024;

/// Everything of a server that follows files.
#[derive(Default)]
pub struct Upkeep {
    all: Mutex<Vec<Arc<dyn Follow>>>,
}

/// What follows files.
pub trait Follow: Send + Sync {
    /// Looks whether the files are others, and takes over what is in them. Blocks while it reads.
    fn look(&self);
}

impl Upkeep {
    /// Has `follower` look from now on.
    pub fn add(&self, follower: Arc<dyn Follow>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(follower);
    }

    /// Has everyone look, one after the other. Blocks while files are read: for the reload thread alone.
    pub(crate) fn look(&self) {
        for follower in self.all() {
            follower.look();
        }
    }

    fn all(&self) -> Vec<Arc<dyn Follow>> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }
}

/// Files, and what becomes of their bytes.
pub struct Source<T> {
    files: Vec<PathBuf>,
    parse: Box<Parse<T>>,
}

/// The contents of all files, in their order, become a value, or a sentence that says what is wrong and where.
type Parse<T> = dyn Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync;

impl<T> Source<T> {
    /// The `files`, whose contents `parse` is given in the same order. What `parse` says is logged, so it tells nothing
    /// of what is secret.
    pub fn new(
        files: Vec<PathBuf>,
        parse: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Self {
        Source {
            files,
            parse: Box::new(parse),
        }
    }

    /// Reads it once. Blocks while it reads.
    ///
    /// # Errors
    /// A sentence that says which file is wrong, and why.
    pub fn read(&self) -> Result<T, String> {
        (self.parse)(&self.contents()?)
    }

    fn contents(&self) -> Result<Vec<Vec<u8>>, String> {
        self.files.iter().map(|file| contents(file)).collect()
    }
}

/// What was last read well from a [`Source`].
pub struct Kept<T> {
    name: &'static str,
    value: RwLock<Arc<T>>,
    source: RwLock<Arc<Source<T>>>,
    seen: Mutex<Seen>,
}

/// What the last look saw.
#[derive(Default)]
struct Seen {
    /// The digest of what was in the files.
    digest: Option<Vec<u8>>,
    /// What is wrong with that.
    wrong: Option<String>,
    /// What was told to be wrong last; it is told once.
    trouble: Option<String>,
}

impl<T> Kept<T> {
    /// Reads `source`; in the log it is called `name`. Blocks while it reads.
    ///
    /// # Errors
    /// A sentence that says which file is wrong, and why.
    pub fn read(name: &'static str, source: Source<T>) -> Result<Self, String> {
        let contents = source.contents()?;
        let value = (source.parse)(&contents)?;
        let seen = Seen {
            digest: Some(digest(&contents)),
            ..Seen::default()
        };
        Ok(Kept {
            name,
            value: RwLock::new(Arc::new(value)),
            source: RwLock::new(Arc::new(source)),
            seen: Mutex::new(seen),
        })
    }

    /// What counts now; it stays as it is for whoever holds it. Does not block.
    pub fn get(&self) -> Arc<T> {
        // It is replaced as a whole, so it is whole after a panic too.
        let value = self.value.read().unwrap_or_else(PoisonError::into_inner);
        value.clone()
    }

    /// Follows `source` from now on. If something is wrong with it, what was read before counts until it is not.
    /// Blocks while it reads.
    pub fn turn_to(&self, source: Source<T>) {
        *self.source.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(source);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
        self.catch_up();
    }

    /// Has what was read of another source count, and follows that one from now on. Does not block.
    pub fn take(&self, other: Kept<T>) {
        let (source, seen) = (into_inner(other.source), other.seen.into_inner());
        *self.source.write().unwrap_or_else(PoisonError::into_inner) = source.clone();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            seen.unwrap_or_else(PoisonError::into_inner);
        self.replace(into_inner(other.value), &source.files);
    }

    fn catch_up(&self) {
        let source = self.source();
        let taken = source.contents().and_then(|contents| {
            let digest = digest(&contents);
            if let Some(known) = self.known(&digest) {
                return known.map(|()| None);
            }
            let parsed = (source.parse)(&contents);
            self.note(digest, parsed.as_ref().err());
            parsed.map(Some)
        });
        match taken {
            Ok(Some(value)) => self.replace(Arc::new(value), &source.files),
            Ok(None) => self.forget_trouble(),
            Err(trouble) => self.keep(trouble),
        }
    }

    /// Not under the lock: a disk may hang while it is read.
    fn source(&self) -> Arc<Source<T>> {
        let source = self.source.read().unwrap_or_else(PoisonError::into_inner);
        source.clone()
    }

    /// What came of these contents, if they are those that were parsed last.
    fn known(&self, digest: &[u8]) -> Option<Result<(), String>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = seen.digest.as_deref() == Some(digest);
        is_known.then(|| seen.wrong.clone().map_or(Ok(()), Err))
    }

    fn note(&self, digest: Vec<u8>, wrong: Option<&String>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.digest = Some(digest);
        seen.wrong = wrong.cloned();
    }

    fn replace(&self, value: Arc<T>, files: &[PathBuf]) {
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = value;
        self.forget_trouble();
        let files: Vec<String> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        if !files.is_empty() {
            log::info!("{}: read anew from {}", self.name, files.join(" and "));
        }
    }

    /// What is wrong from now on is told again.
    fn forget_trouble(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.trouble = None;
    }

    /// Tells what is wrong, unless it did.
    fn keep(&self, trouble: String) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.trouble.as_ref() != Some(&trouble) {
            let name = self.name;
            log::error!("{name}: what was read before goes on to count: {trouble}");
            seen.trouble = Some(trouble);
        }
    }
}

impl<T: Send + Sync> Follow for Kept<T> {
    fn look(&self) {
        self.catch_up();
    }
}

fn into_inner<T>(lock: RwLock<T>) -> T {
    lock.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// One digest for all, with their lengths, so that what moves from one file to the next is a change. Private keys are
/// not kept to be compared.
fn digest(contents: &[Vec<u8>]) -> Vec<u8> {
    let mut hash = Hash::new(&SHA256);
    for content in contents {
        hash.update(&content.len().to_be_bytes());
        hash.update(content);
    }
    hash.finish().as_ref().to_vec()
}

fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error| format!("{} cannot be read: {error}", path.display());
    // A pipe would keep the thread waiting for whoever writes to it.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(format!("{} is no regular file", path.display()));
    }
    let mut content = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    let taken = file.take(LARGEST + 1).read_to_end(&mut content);
    match taken.map_err(unreadable)? as u64 {
        ..=LARGEST => Ok(content),
        _ => Err(format!("{} is larger than 1 MiB", path.display())),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A directory that goes with its owner.
    pub(crate) struct Directory(pub(crate) PathBuf);

    impl Directory {
        pub(crate) fn new() -> Self {
            static NUMBER: AtomicUsize = AtomicUsize::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("fourcast-files-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Directory(path)
        }

        pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// All texts together, unless one is "broken".
    fn source(files: &[&PathBuf]) -> Source<String> {
        let files = files.iter().map(|file| file.to_path_buf()).collect();
        Source::new(files, |contents| {
            let text = String::from_utf8(contents.concat()).unwrap();
            match text.contains("broken") {
                true => Err("it is broken".to_owned()),
                false => Ok(text),
            }
        })
    }

    fn trouble(kept: &Kept<String>) -> Option<String> {
        kept.seen.lock().unwrap().trouble.clone()
    }

    #[test]
    fn what_is_in_the_files_counts_when_it_changes() {
        let directory = Directory::new();
        let [a, b] = ["a", "b"].map(|name| directory.file(name, name));
        let kept = Kept::read("letters", source(&[&a, &b])).unwrap();
        let held = kept.get();
        fs::write(&b, "c").unwrap();
        kept.look();
        assert_eq!(*kept.get(), "ac");
        assert_eq!(*held, "ab", "whoever holds a value keeps it");
        fs::rename(&b, &a).unwrap();
        directory.file("b", "d");
        kept.look();
        assert_eq!(*kept.get(), "cd");
    }

    #[test]
    fn broken_or_missing_files_keep_what_was_read_before() {
        let directory = Directory::new();
        let a = directory.file("a", "old");
        let kept = Kept::read("letters", source(&[&a])).unwrap();
        fs::write(&a, "broken").unwrap();
        for _ in 0..2 {
            kept.look();
            assert_eq!(*kept.get(), "old");
            assert_eq!(trouble(&kept).unwrap(), "it is broken");
        }
        fs::remove_file(&a).unwrap();
        kept.look();
        assert_eq!(*kept.get(), "old");
        assert!(trouble(&kept).unwrap().contains("cannot be read"));
        fs::write(&a, "new").unwrap();
        kept.look();
        assert_eq!((&**kept.get(), trouble(&kept)), ("new", None));
    }

    #[test]
    fn what_has_not_changed_is_parsed_once_even_if_it_is_broken() {
        let directory = Directory::new();
        let a = directory.file("a", "x");
        let parsed = Arc::new(AtomicUsize::new(0));
        let count = parsed.clone();
        let source = Source::new(vec![a.clone()], move |contents| {
            count.fetch_add(1, Ordering::Relaxed);
            match contents {
                [content] if content == b"x" => Ok(()),
                _ => Err("it is broken".to_owned()),
            }
        });
        let kept = Kept::read("letters", source).unwrap();
        kept.look();
        fs::write(&a, "broken").unwrap();
        kept.look();
        kept.look();
        assert_eq!(parsed.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn other_files_count_once_they_are_right() {
        let directory = Directory::new();
        let [a, b] = [("a", "old"), ("b", "broken")].map(|(name, text)| directory.file(name, text));
        let kept = Kept::read("letters", source(&[&a])).unwrap();
        kept.turn_to(source(&[&b]));
        assert_eq!(*kept.get(), "old");
        fs::write(&b, "new").unwrap();
        kept.look();
        assert_eq!(*kept.get(), "new");
        kept.turn_to(source(&[]));
        assert_eq!(*kept.get(), "");
    }

    #[test]
    fn what_was_read_of_other_files_counts_whatever_became_of_them_since() {
        let directory = Directory::new();
        let [a, b] = ["a", "b"].map(|name| directory.file(name, name));
        let kept = Kept::read("letters", source(&[&a])).unwrap();
        let other = Kept::read("letters", source(&[&b])).unwrap();
        fs::write(&b, "broken").unwrap();
        kept.take(other);
        kept.look();
        assert_eq!(*kept.get(), "b");
        assert_eq!(trouble(&kept).unwrap(), "it is broken");
        fs::write(&b, "new").unwrap();
        kept.look();
        assert_eq!(*kept.get(), "new");
    }

    #[test]
    fn what_is_no_file_or_too_large_is_refused() {
        let directory = Directory::new();
        let refusal = |path: &PathBuf| Kept::read("letters", source(&[path])).err().unwrap();
        assert!(refusal(&directory.0).contains("no regular file"));
        let large = directory.file("large", &"x".repeat(1024 * 1024 + 1));
        assert!(refusal(&large).contains("larger than 1 MiB"));
        let largest = directory.file("largest", &"x".repeat(1024 * 1024));
        assert!(Kept::read("letters", source(&[&largest])).is_ok());
    }
}
