// The npm package `bullmq`, through its public API, driven like the Rust drivers: src/protocol.rs says what the lines are.
import { createInterface } from 'node:readline';
import { Queue, Worker } from 'bullmq';

const port = Number(process.argv[2]);
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
const queues = new Map();
const workers = [];
let finished = 0;
let target = Infinity;
let reached = () => {};
let startUs = [];
const toldLost = new Set();
let standstillMs = 0;

const nowUs = () => Math.round((performance.timeOrigin + performance.now()) * 1000);
const plain = (user, ms) => ({ t: 0, user, to: 'someone@example.com', ms });

async function handle(job) {
  let result = 0;
  switch (job.name) {
    case 'echo':
      result = job.data.t;
      break;
    case 'quick':
      startUs.push(Math.max(0, nowUs() - job.data.t));
      break;
    case 'hold':
      return new Promise(() => {});
    case 'block': {
      const end = Date.now() + job.data.ms;
      while (Date.now() < end);
      break;
    }
  }
  finished += 1;
  if (finished === target) reached();
  return result;
}

function queue(name) {
  if (!queues.has(name)) {
    const made = new Queue(name, { connection });
    made.on('error', (error) => console.error(error.message));
    queues.set(name, made);
  }
  return queues.get(name);
}

async function work(spec) {
  const worker = new Worker(spec.queue, handle, {
    connection,
    concurrency: spec.concurrency,
    lockDuration: spec.lock_ms,
    stalledInterval: spec.stalled_ms,
  });
  worker.on('lockRenewalFailed', (ids) => ids.forEach((id) => toldLost.add(id)));
  worker.on('error', () => {});
  await worker.waitUntilReady();
  workers.push(worker);
  if (spec.watch) {
    let last = performance.now();
    setInterval(() => {
      const now = performance.now();
      standstillMs = Math.max(standstillMs, Math.round(now - last));
      last = now;
    }, 10);
  }
}

async function add({ queue: name, name: job, jobs, pace, block_ms: ms }) {
  const to = queue(name);
  await to.waitUntilReady();
  const start = performance.now();
  if (pace.how === 'batch') {
    for (let left = jobs; left > 0; ) {
      const size = Math.min(pace.size, left);
      await to.addBulk(Array.from({ length: size }, (_, i) => ({ name: job, data: plain(i, ms) })));
      left -= size;
    }
  } else if (pace.how === 'flight') {
    const lane = async (from) => {
      for (let i = from; i < jobs; i += pace.width) await to.add(job, plain(i, ms));
    };
    await Promise.all(Array.from({ length: pace.width }, (_, from) => lane(from)));
  } else {
    // A timer of Node's is a millisecond coarse, so the next tick is computed from the first.
    const first = performance.now();
    for (let i = 0; i < jobs; i += 1) {
      const wait = first + (i * pace.gap_us) / 1000 - performance.now();
      if (wait > 0) await new Promise((done) => setTimeout(done, wait));
      await to.add(job, { ...plain(i, ms), t: nowUs() });
    }
  }
  return { answer: 'added', elapsed_us: Math.round((performance.now() - start) * 1000) };
}

function usage() {
  const used = process.resourceUsage();
  return {
    answer: 'usage',
    cpu_us: used.userCPUTime + used.systemCPUTime,
    switches: used.voluntaryContextSwitches + used.involuntaryContextSwitches,
    peak_kib: used.maxRSS,
  };
}

async function obey(command) {
  switch (command.do) {
    case 'work':
      await work(command);
      break;
    case 'finish':
      await new Promise((done) => {
        target = command.count;
        reached = done;
        if (finished >= target) done();
      });
      break;
    case 'close':
      await Promise.all(workers.splice(0).map((worker) => worker.close()));
      break;
    case 'add':
      return add(command);
    case 'usage':
      return usage();
    case 'seen':
      return { answer: 'seen', start_us: startUs, told_lost: toldLost.size, standstill_ms: standstillMs };
    case 'forget':
      finished = 0;
      startUs = [];
      toldLost.clear();
      standstillMs = 0;
      break;
  }
  return { answer: 'done' };
}

// One command at a time, in order.
let turn = Promise.resolve();
createInterface({ input: process.stdin })
  .on('line', (line) => {
    turn = turn
      .then(() => obey(JSON.parse(line)))
      .catch((error) => ({ answer: 'error', why: error.stack ?? String(error) }))
      .then((answer) => process.stdout.write(`${JSON.stringify(answer)}\n`));
  })
  .on('close', () => process.exit(0));
