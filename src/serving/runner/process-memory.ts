import { readFileSync } from 'node:fs';

export type ProcessMemory = {
  readonly residentBytes: number;
  /** The most it ever was. */
  readonly peakBytes: number;
};

/** Resident size of a process as the system tells it; null where it does not, or when the process is gone. About 30 us. */
export function processMemory(pid: number): ProcessMemory | null {
  if (process.platform !== 'linux') return null;
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const resident = /^VmRSS:\s+(\d+) kB/m.exec(status);
    const peak = /^VmHWM:\s+(\d+) kB/m.exec(status);
    if (resident === null || peak === null) return null;
    return { residentBytes: Number(resident[1]) * 1024, peakBytes: Number(peak[1]) * 1024 };
  } catch {
    return null;
  }
}
