import type { RolloutShadow } from '@slipway/sdk';
import { Link } from '@tanstack/react-router';
import { addressOf } from '../address.ts';
import { count, duration, figure, share } from '../parts/figures.ts';
import { Facts, Section } from '../parts/page.tsx';
import { Table } from '../parts/table.tsx';
import { Value } from '../parts/value.tsx';

/** The current version against itself: so much differs by chance alone. */
const NOISE_FLOOR = 'noise-floor';
/** Slices that stand out; there may be hundreds. */
const MOST_SLICES = 8;

/** What shadows answered beside the live version: how far they agree, where least, and the pairs that matter most. */
export function Shadows({ shadows }: { shadows: readonly RolloutShadow[] }) {
  const floor = shadows.find((one) => one.name === NOISE_FLOOR);
  return shadows
    .filter((one) => one !== floor)
    .map((one) => <Shadow key={one.name} shadow={one} floor={floor ?? null} />);
}

function Shadow({ shadow, floor }: { shadow: RolloutShadow; floor: RolloutShadow | null }) {
  const { name, pairs, flips, statuses, newErrors, p99Ms, slices, worst } = shadow;
  const measures = (['kappa', 'concordance', 'similarity', 'bias'] as const).filter((one) => shadow[one] !== null);
  const differing = slices.filter((one) => one.flips > 0);
  return (
    <Section title={`Shadow: ${name}`}>
      <p>{sentenceOf(shadow, floor)}</p>
      <Facts
        facts={[
          ['Pairs', count(pairs)],
          ['Decisions that differ', pairs === 0 ? '–' : `${count(flips)} (${share(flips / pairs)})`],
          ...measures.map((one): [string, string] => [one, figure(shadow[one])]),
          [
            'p99 of shadow, of live',
            p99Ms.shadow === null || p99Ms.live === null
              ? 'too few calls'
              : `${duration(p99Ms.shadow)}, ${duration(p99Ms.live)}`,
          ],
          ['Copies', amounts(statuses)],
          ['Failures that live has not', amounts(newErrors)],
          ['Answers of another form', count(shadow.otherForms)],
        ]}
      />
      {slices.length > 1 && differing.length > 0 && (
        <Table
          label="Where they differ most often"
          idOf={(row) => row.slice}
          rows={differing.slice(0, MOST_SLICES)}
          columns={[
            { title: 'Slice', cell: (row) => <code>{row.slice}</code> },
            { title: 'Pairs', kind: 'number', cell: (row) => count(row.pairs) },
            { title: 'Differ', kind: 'number', cell: (row) => share(row.flips / row.pairs) },
          ]}
        />
      )}
      {worst.length > 0 && (
        <Table
          label="Pairs that differ, the most costly first"
          idOf={(row) => row.predictionId}
          rows={worst}
          columns={[
            {
              title: 'Prediction',
              cell: (row) => (
                <Link to={addressOf.prediction(row.predictionId)} title={row.predictionId}>
                  <code>…{row.predictionId.slice(-12)}</code>
                </Link>
              ),
            },
            { title: 'Live', kind: 'wide', cell: (row) => <Decided text={row.live} /> },
            { title: 'Shadow', kind: 'wide', cell: (row) => <Decided text={row.shadow} /> },
            { title: 'Cost', kind: 'number', cell: (row) => figure(row.cost) },
            { title: 'Slice', cell: (row) => row.slice ?? '–' },
          ]}
        />
      )}
    </Section>
  );
}

/** Of models whose outputs say no decision, only whether they are the same is compared. */
function Decided({ text }: { text: string }) {
  return text === '' ? <span className="quiet">another answer</span> : <Value value={text} />;
}

function sentenceOf({ pairs, flips }: RolloutShadow, floor: RolloutShadow | null): string {
  if (pairs === 0) return 'No copy was compared with its live answer yet.';
  const chance =
    floor === null || floor.pairs === 0
      ? ''
      : ` The current version differs from itself in ${share(floor.flips / floor.pairs)} of ${count(floor.pairs)}.`;
  return flips === 0
    ? `All ${count(pairs)} pairs decide alike.${chance}`
    : `${share(flips / pairs)} of ${count(pairs)} pairs decide otherwise than live.${chance}`;
}

function amounts(of: Readonly<Record<string, number>>): string {
  const some = Object.entries(of).filter(([, amount]) => amount > 0);
  return some.length === 0 ? 'none' : some.map(([name, amount]) => `${count(amount)} ${name}`).join(', ');
}
