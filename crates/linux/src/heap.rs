//! How the allocator of this process keeps memory.
#![cfg_attr(
    target_env = "gnu",
    expect(unsafe_code, reason = "mallopt is a function of C: see the place where it is called")
)]

/// From now on threads share one heap, where the C library would give each its own (glibc, mallopt(3)). For a
/// process that runs long, and whose threads hand to each other what they read: what one of them has freed
/// another can use. Threads that allocate at the same moment wait for each other. To be called before there
/// are any.
pub fn share_one() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes two numbers and touches nothing but the allocator's own settings, under its lock.
    unsafe {
        _ = libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
