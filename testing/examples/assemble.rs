//! Compiles every variant of every step, of inference and of training, for the first Vulkan device and prints what its
//! driver says of each pipeline, as the rows of a table. The arguments name the statistics that are printed; all without
//! any. `tests/assemble.sh` runs it on drivers that compile without their card.

use std::{
    collections::BTreeSet,
    ffi::{CStr, CString, c_char, c_int, c_void},
    sync::Arc,
};

use ecgpu::{
    engine::backend::{
        Backend, Precision,
        gpu::{Adapter, Gpu, adapters},
    },
    engine::kernels::{Accelerator, Kernel, RowLayout, Storage, training::SupervisedLossKind},
    engine::network::published,
    engine::plan::{FusedPlan, Keep, Plan, Role, Step},
    train::{Heads, Objective, Optimiser, TrainingStep},
};
use ecgpu_testing::{published_with_zeros, training_plans};

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// What the rows of training plans are called.
const TRAINING: &str = "training";

/// The layer of `testing/src/statistics_layer.c`.
#[derive(Clone, Copy)]
struct Layer {
    name_shader: unsafe extern "C" fn(*const c_char),
    take_statistics: unsafe extern "C" fn() -> *const c_char,
}

impl Layer {
    /// Finds the functions of the library that the loader has loaded.
    fn open() -> Self {
        const NOW: c_int = 2;
        let path = std::env::var("ECGPU_STATISTICS_LAYER").expect("tests/assemble.sh names the layer's library");
        let path = CString::new(path).unwrap();
        // SAFETY: the path and the names are strings that end with 0. The library's functions have these signatures, and it
        // is never closed.
        unsafe {
            let library = dlopen(path.as_ptr(), NOW);
            assert!(!library.is_null(), "the layer is a library");
            let [name, take] = [c"ecgpu_name_shader", c"ecgpu_take_statistics"].map(|it| dlsym(library, it.as_ptr()));
            assert!(!name.is_null() && !take.is_null(), "the layer has the functions");
            let name_shader: unsafe extern "C" fn(*const c_char) = std::mem::transmute(name);
            let take_statistics: unsafe extern "C" fn() -> *const c_char = std::mem::transmute(take);
            Self { name_shader, take_statistics }
        }
    }

    fn name_shader(self, name: &str) {
        let name = CString::new(name).unwrap();
        // SAFETY: the layer copies the string.
        unsafe { (self.name_shader)(name.as_ptr()) }
    }

    fn take_statistics(self) -> String {
        // SAFETY: the layer returns a string that is valid until the next call.
        unsafe { CStr::from_ptr((self.take_statistics)()) }.to_string_lossy().into_owned()
    }
}

/// Lists inference plans of both published networks, with and without fused steps.
fn inference_plans() -> Vec<Plan> {
    let plans = published_with_zeros().into_iter().flat_map(|folded| {
        let plan = Plan::new(&folded, 32, 1000, Keep::Results).unwrap();
        let pooled = FusedPlan::unfused(&plan).with_fused_max_pools();
        let fused = pooled.clone().with_fused_pooled_linear().map(|fused| fused.plan);
        [plan, pooled.plan].into_iter().chain(fused)
    });
    plans.collect()
}

/// Lists training plans: the steps of two objectives, and every operation on small sizes.
fn training_plans() -> Vec<Plan> {
    let network = published::training_code_542k();
    let supervised = Objective::Supervised { loss: SupervisedLossKind::FOCAL, class_weights: vec![1.0; 5] };
    let simclr = Objective::SimClr { temperature: 0.07, heads: Heads { hidden: 128, out: 32 } };
    let steps = [supervised, simclr].into_iter().map(|objective| {
        let parameters = TrainingStep::initial(&network, &objective, 1);
        TrainingStep::new(&network, &objective, &Optimiser::default(), &parameters, [32, 1000], None).unwrap().plan
    });
    steps.chain(training_plans::ALL.iter().map(|(_, plan)| plan(1).finish().0)).collect()
}

/// Makes a plan of one step of an inference plan.
fn alone(plan: &Plan, step: &Step) -> Plan {
    let ids = || step.reads.iter().chain([&step.write]).copied();
    let write = step.reads.len();
    let mut buffers: Vec<_> = ids().map(|id| plan.buffers[id].clone()).collect();
    (buffers[0].role, buffers[write].role) = (Role::Activation { slot: 0 }, Role::Activation { slot: 1 });
    let step = Step { reads: (0..write).collect(), write, ..step.clone() };
    Plan { batch: plan.batch, buffers, steps: vec![step], inputs: vec![0], outputs: vec![write], slots: 2 }
}

/// Lists the names of the variants that a device has for the steps of a plan.
fn variants(plan: &Plan, accelerator: &Accelerator) -> BTreeSet<&'static str> {
    let row = |pitch| RowLayout { base_offset: 16, offset: 0, pitch, storage: accelerator.storage };
    // A fused step writes numbers without gaps.
    let of_step = |step: &Step| {
        [row(512), row(1)].map(|y| {
            let mut rows = vec![row(512); step.reads.len()];
            rows.push(y);
            step.kernel.on_gpu().variants(&rows, accelerator)
        })
    };
    plan.steps.iter().flat_map(of_step).flatten().map(|variant| variant.name).collect()
}

/// The table that is printed.
struct Table {
    adapter: Adapter,
    layer: Layer,
    /// The statistics that are printed; all if empty.
    wanted: Vec<String>,
    /// The shaders and statistics so far.
    rows: BTreeSet<String>,
    failures: usize,
}

impl Table {
    /// Opens the device. Every shader is named for the layer before it is compiled.
    fn gpu(&self, storage: Storage) -> Gpu {
        let layer = self.layer;
        let gpu = Gpu::open_with_matrices(&self.adapter).unwrap().with_edited_shaders(Arc::new(move |name, source| {
            layer.name_shader(name);
            source.into()
        }));
        if storage == Storage::F32 { gpu } else { gpu.with_precision(Precision::F16) }
    }

    /// Compiles a plan with every variant that its steps have, and prints the shaders that `shown` chooses.
    fn add(&mut self, what: &str, plan: &Plan, storage: Storage, shown: fn(&str) -> bool) {
        for variant in variants(plan, &self.gpu(storage).accelerator()) {
            let gpu = self.gpu(storage).with_variant(variant);
            let compiled = match what {
                TRAINING => gpu.prepare_training(plan).map(drop),
                _ => gpu.prepare(plan).map(drop),
            };
            if let Err(error) = compiled {
                self.failures += 1;
                println!("{what} as {variant} in {storage}: {error}");
            }
            let statistics = self.layer.take_statistics();
            // Pipelines of a plan are compiled on several threads.
            let lines: BTreeSet<&str> = statistics.lines().filter(|line| shown(line)).collect();
            // Most steps of a training plan have no variant of this name.
            let variant = if what == TRAINING { "" } else { variant };
            lines.into_iter().for_each(|line| self.print(&format!("{what} | {variant} | {storage}"), line));
        }
    }

    /// Prints a line of the layer as a row, and the header before the first one.
    fn print(&mut self, what: &str, line: &str) {
        let mut fields = line.split('\t');
        let shader = fields.next().unwrap_or_default();
        let statistics = fields.filter_map(|field| field.split_once('='));
        let wanted = |name: &str| self.wanted.is_empty() || self.wanted.iter().any(|wanted| wanted == name);
        let (names, values): (Vec<&str>, Vec<&str>) = statistics.filter(|(name, _)| wanted(name)).unzip();
        if self.rows.is_empty() {
            println!("| operation | variant | storage | shader | {} |", names.join(" | "));
            println!("|{}", "---|".repeat(4 + names.len()));
        }
        // A plan has several steps with one shader.
        if self.rows.insert(format!("{shader} {values:?}")) {
            println!("| {what} | {shader} | {} |", values.join(" | "));
        }
    }
}

fn main() {
    let adapter = adapters().into_iter().next().expect("the driver has a device");
    println!("{adapter}\n");
    let wanted = std::env::args().skip(1).collect();
    let mut table = Table { adapter, layer: Layer::open(), wanted, rows: BTreeSet::new(), failures: 0 };
    for storage in [Storage::F32, Storage::F16] {
        for plan in inference_plans() {
            for step in &plan.steps {
                let described = step.kernel.operation().describe();
                // A fused step needs the layouts of its neighbours.
                match &step.kernel {
                    Kernel::PooledLinear(_) => table.add(&described, &plan, storage, |line| line.starts_with("pooled")),
                    _ => table.add(&described, &alone(&plan, step), storage, |_| true),
                }
            }
        }
    }
    for plan in training_plans() {
        table.add(TRAINING, &plan, Storage::F32, |shader| shader.starts_with("training/"));
    }
    assert_eq!(table.failures, 0, "pipelines were refused");
}
