// The clock that BullMQ sees. BullMQ never asks Redis for the time: it sends its own `Date.now()` with every script,
// so a fixed `Date` makes a step repeatable to the millisecond. Timers (setTimeout) and Redis TTLs run on as usual.
const RealDate = Date;
let fixed = null;

class SteppedDate extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(SteppedDate.now());
    else super(...args);
  }

  static now() {
    return fixed ?? RealDate.now();
  }
}

globalThis.Date = SteppedDate;

/** Stops the clock at `ms`, or lets it run again with `null`. Returns what held before. */
export function setClock(ms) {
  const before = fixed;
  fixed = ms ?? null;
  return before;
}
