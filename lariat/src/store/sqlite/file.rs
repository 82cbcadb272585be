//! The file as the system sees it: what a path leads to, which disk that is on, and whether it is still the same.

use std::path::Path;

use crate::error::{Error, ErrorKind};

/// Which file a path leads to. A file that is deleted, moved or replaced while it is open can still be written: what goes
/// there is lost, so a path is looked at before each use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    number: u64,
}

impl Identity {
    /// None where there is no such file.
    #[cfg(unix)]
    pub(super) fn of(path: &Path) -> Option<Identity> {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(path).ok()?;
        Some(Identity { device: found.dev(), number: found.ino() })
    }

    /// Elsewhere an open file cannot be deleted: all are taken for the same.
    #[cfg(not(unix))]
    pub(super) fn of(_: &Path) -> Option<Identity> {
        Some(Identity { device: 0, number: 0 })
    }
}

/// What is said when a path leads to another file than before.
pub(super) fn gone() -> Error {
    let words = "the file was deleted, moved or replaced while it was open: nothing was written; the next call opens the \
                 file that is there then";
    Error::new(ErrorKind::Store, words)
}

/// What SQLite would only say in general: that there is something at this path which is no file, or that it cannot be made.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            return Err(Error::new(ErrorKind::Invalid, "this is a folder: name a file in it"));
        }
        Ok(found) if !found.is_file() => return Err(Error::new(ErrorKind::Invalid, "this is no regular file")),
        Ok(_) => return may_write(path).and_then(|()| network(path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(Error::new(ErrorKind::Denied, "this user may not look into the file's folder").because(error));
        }
        // SQLite says what it is.
        Err(_) => return Ok(()),
    }
    if !folder.exists() {
        return Err(Error::new(ErrorKind::Unreachable, format!("the folder {} does not exist", folder.display())));
    }
    network(folder)
}

/// SQLite would open it for reading, and leave files beside it that nobody can write when the file can be written again.
#[cfg(unix)]
fn may_write(path: &Path) -> Result<(), Error> {
    use rustix::fs::{Access, access};
    use rustix::io::Errno;
    match access(path, Access::READ_OK | Access::WRITE_OK) {
        Err(error @ (Errno::ACCESS | Errno::ROFS | Errno::PERM)) => {
            Err(Error::new(ErrorKind::Denied, "this user may not read and write the file").because(error))
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn may_write(_: &Path) -> Result<(), Error> {
    Ok(())
}

/// Shared memory and locks do not work over a network: the file would be damaged sooner or later.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn network(path: &Path) -> Result<(), Error> {
    let Ok(found) = rustix::fs::statfs(path) else { return Ok(()) };
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "a magic number of 32 bits")]
    let kind = found.f_type as u32;
    match network_name(kind) {
        None => Ok(()),
        Some(name) => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the file lies on a network file system ({name}), which SQLite cannot share: use a local disk, or Redis"
            ),
        )),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn network(_: &Path) -> Result<(), Error> {
    Ok(())
}

/// The file systems of several machines that say so. What hides behind FUSE cannot be told from a local disk.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn network_name(kind: u32) -> Option<&'static str> {
    Some(match kind {
        0x6969 => "NFS",
        0xff53_4d42 => "CIFS",
        0x517b | 0xfe53_4d42 => "SMB",
        0x0102_1997 => "9P",
        0x00c3_6400 => "Ceph",
        0x0bd0_0bd0 => "Lustre",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x1983_0326 => "BeeGFS",
        0x4750_4653 => "GPFS",
        0x786f_4256 => "VirtualBox's shared folder",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_another_file_once_that_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert_eq!(Identity::of(&path), None);
        std::fs::write(&path, "1").unwrap();
        let first = Identity::of(&path);
        std::fs::write(&path, "2").unwrap();
        assert!(first.is_some() && Identity::of(&path) == first);
        let other = folder.path().join("b");
        std::fs::write(&other, "3").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_ne!(Identity::of(&path), first);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn disks_of_this_machine_are_no_network() {
        assert_eq!(network_name(0xef53), None, "ext4");
        assert_eq!(network_name(0x0102_1994), None, "tmpfs");
        assert_eq!(network_name(0x6969), Some("NFS"));
        assert!(network(&std::env::temp_dir()).is_ok());
    }
}
