//! Tells the linker where libtorch lies, now and when the binary runs.
//!
//! Linker arguments of a dependency's build script do not reach our binary, so this repeats what
//! torch-sys found. With the search path inside the binary nobody needs `LD_LIBRARY_PATH`.

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    println!("cargo::rerun-if-changed=migrations");
    let lib = std::env::var("DEP_TCH_LIBTORCH_LIB").unwrap_or_default();
    if !lib.is_empty() {
        let resolved = std::fs::canonicalize(&lib).map_or(lib, |path| path.display().to_string());
        println!("cargo::rustc-link-arg=-Wl,-rpath,{resolved}");
        // Nothing of ours names a symbol of the CUDA part, which registers itself when it is loaded; a
        // linker leaves out what nobody names.
        if std::path::Path::new(&resolved).join("libtorch_cuda.so").exists() {
            println!("cargo::rustc-link-arg=-Wl,--no-as-needed,-ltorch_cuda,-ltorch");
        }
    }
    // In the container image the libraries lie beside the binary's folder.
    println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib");
    // libtorch_cpu.so names CUDA symbols that a CPU never calls.
    println!("cargo::rustc-link-arg=-Wl,--allow-shlib-undefined");
    // The dashboard embeds the chart library from here; without it the page says what to run.
    std::fs::create_dir_all(".vendor/uplot").expect("the checkout is writable");
    // New files there are embedded too, which the compiler does not see by itself.
    println!("cargo::rerun-if-changed=.vendor/uplot");
    println!("cargo::rerun-if-changed=src/dashboard/ui");
}
