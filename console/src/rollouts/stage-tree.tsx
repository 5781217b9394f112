import type { RolloutGate, RolloutStage } from '@slipway/sdk';
import { count, duration, figure, share } from '../parts/figures.ts';
import { Mark, Status, toneOf } from '../parts/status.tsx';

const MARKS = { done: 'good', now: 'busy', next: 'next', left: 'left' } as const;
const WORDS: Record<RolloutStage['state'], string> = {
  done: 'done',
  now: 'now',
  next: 'to come',
  left: 'was not reached',
};

/** The steps in their order, each with its gates: what was measured, against what, on how much. */
export function StageTree({ stages }: { stages: readonly RolloutStage[] }) {
  return (
    <ol className="stages">
      {stages.map((stage) => (
        <li
          key={stage.index}
          className={`stage ${stage.state}`}
          aria-current={stage.state === 'now' ? 'step' : undefined}
        >
          <div className="stage-head">
            <Mark tone={MARKS[stage.state]} />
            <strong>{stage.name}</strong>
            <span className="quiet">
              {stage.kind}
              {stage.weight !== null && ` · ${share(stage.weight)} of calls`} · {WORDS[stage.state]}
              {stage.needsCalls !== null && ` · needs about ${count(stage.needsCalls)} calls`}
              {stage.needsMs !== null && ` (${duration(stage.needsMs)})`}
            </span>
          </div>
          {stage.gates.length > 0 &&
            (stage.state === 'now' ? (
              <Gates gates={stage.gates} />
            ) : stage.state === 'done' ? (
              <details className="done-gates">
                <summary className="small">What its {stage.gates.length} gates said</summary>
                <Gates gates={stage.gates} />
              </details>
            ) : (
              <p className="small quiet gate-names">gates: {stage.gates.map((gate) => gate.name).join(', ')}</p>
            ))}
        </li>
      ))}
    </ol>
  );
}

function Gates({ gates }: { gates: readonly RolloutGate[] }) {
  return (
    <ul className="gates">
      {gates.map((gate) => (
        <li key={gate.name}>
          <Status tone={toneOf(gate.verdict)}>{gate.verdict}</Status>
          <strong>{gate.name}</strong> <span className="quiet small">{gate.role}</span>
          <span className="gate-figures">
            {gate.measured !== null && (
              <>
                measured <b>{figure(gate.measured)}</b>
                {gate.bound !== null && (
                  <>
                    {' '}
                    against <b>{figure(gate.bound)}</b>
                  </>
                )}
                ,{' '}
              </>
            )}
            on {count(gate.evidence)}
            {gate.remaining !== null && `, about ${count(gate.remaining)} more`}
            {gate.remainingMs !== null && ` (${duration(gate.remainingMs)})`}
          </span>
          <p className="small quiet">{gate.text}</p>
        </li>
      ))}
    </ul>
  );
}
