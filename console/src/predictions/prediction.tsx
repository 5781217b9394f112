import type { FeedbackEvent, FeedbackItem, FeedbackKind, LoggedPrediction, ShownPrediction } from '@slipway/sdk';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { addressOf, useParam } from '../address.ts';
import { Act } from '../parts/act.tsx';
import { Copy } from '../parts/copy.tsx';
import { duration } from '../parts/figures.ts';
import { Loaded } from '../parts/loaded.tsx';
import { Empty, Facts, Page, Section } from '../parts/page.tsx';
import { Status } from '../parts/status.tsx';
import { Table } from '../parts/table.tsx';
import { Value } from '../parts/value.tsx';
import { When } from '../parts/when.tsx';
import { useProject, useRefusal } from '../session.tsx';

export function PredictionPage() {
  const [id, only] = idAndRow(useParam('id'));
  const { client, project } = useProject();
  const shown = useQuery({ queryKey: ['predictions', project, 'one', id], queryFn: () => client.predictions.show(id) });
  return (
    <Page
      title={`Prediction …${id.slice(-12)}${only === null ? '' : `.${only}`}`}
      trail={[
        { to: '/predictions', text: 'Predictions' },
        ...(shown.data ? [{ to: addressOf.predictions(shown.data.endpoint), text: shown.data.endpoint }] : []),
      ]}
      about={<Copy text={only === null ? id : `${id}.${only}`} />}
      actions={shown.data && <Say id={id} shown={shown.data} only={only} />}
    >
      <Loaded query={shown}>
        {(story) => (
          <>
            <Rows id={id} story={story} only={only} />
            <Section title="What became of it">
              {feedbackOf(story, only).length === 0 ? (
                <Empty command={`bin/slipway feedback send ${story.endpoint} --id ${id} --truth '…'`}>
                  Nobody has said anything of it yet.
                </Empty>
              ) : (
                <Table
                  label="Feedback"
                  idOf={(row) => String(row.seq)}
                  rows={feedbackOf(story, only)}
                  columns={[
                    { title: 'Row', cell: (row) => (row.row === null ? 'all' : `.${row.row}`) },
                    { title: 'Kind', cell: (row) => row.kind },
                    { title: 'Value', kind: 'wide', cell: (row) => <Value value={row.value} /> },
                    { title: 'Revision', kind: 'number', cell: (row) => row.revision },
                    { title: 'Source', cell: (row) => row.source },
                    { title: 'Arrived', cell: (row) => <When at={row.arrivedAt} /> },
                  ]}
                />
              )}
            </Section>
          </>
        )}
      </Loaded>
    </Page>
  );
}

/** Row k of a request is prediction `<id>.k`; ids of other systems are their own. @returns null for the row: all of them */
function idAndRow(asked: string): [id: string, row: number | null] {
  const [, id, row] = /^([0-9a-f-]{36})\.(\d{1,9})$/i.exec(asked) ?? [];
  return id === undefined ? [asked, null] : [id, Number(row)];
}

function feedbackOf({ feedback }: ShownPrediction, only: number | null): FeedbackEvent[] {
  return only === null ? feedback : feedback.filter((one) => one.row === null || one.row === only);
}

/** The one row, or what each was, of a request with several. */
function Rows({ id, story, only }: { id: string; story: ShownPrediction; only: number | null }) {
  const { rows, endpoint } = story;
  const shown = only === null && rows.length === 1 ? rows[0] : rows.find((row) => row.row === only);
  if (shown !== undefined) {
    return (
      <>
        {rows.length > 1 && (
          <p>
            Row {shown.row} of <Link to={addressOf.prediction(id)}>a request with {rows.length} logged rows</Link>.
          </p>
        )}
        <Row row={shown} endpoint={endpoint} />
      </>
    );
  }
  return (
    <Section title={`${rows.length} rows`}>
      {only !== null && <p>Row {only} of this request is not in the log; these are.</p>}
      <Table
        label="Rows of the request"
        idOf={(row) => String(row.row)}
        rows={rows}
        columns={[
          { title: 'Row', cell: (row) => <Link to={addressOf.prediction(`${id}.${row.row}`)}>{`.${row.row}`}</Link> },
          {
            title: 'Status',
            cell: (row) => <Status tone={row.status === 'answered' ? 'good' : 'bad'}>{row.status}</Status>,
          },
          { title: 'Version', kind: 'number', cell: (row) => row.version ?? '–' },
          { title: 'Arm', cell: (row) => row.arm ?? '–' },
          { title: 'Inputs', kind: 'wide', cell: (row) => <Value value={row.inputs} /> },
          { title: 'Outputs', kind: 'wide', cell: (row) => <Value value={row.outputs} /> },
        ]}
      />
    </Section>
  );
}

function Row({ row, endpoint }: { row: LoggedPrediction; endpoint: string }) {
  return (
    <>
      <Facts
        facts={[
          [
            'Status',
            <Status key="s" tone={row.status === 'answered' ? 'good' : 'bad'}>
              {row.status}
            </Status>,
          ],
          ['When', <When key="at" at={row.at} />],
          [
            'Endpoint',
            <Link key="e" to={addressOf.endpoint(endpoint)}>
              {endpoint}
            </Link>,
          ],
          [
            'Version',
            row.model === null || row.version === null ? (
              '–'
            ) : (
              <Link key="v" to={addressOf.version(row.model, row.version)}>{`${row.model}@${row.version}`}</Link>
            ),
          ],
          ['Took', duration(row.latencyMs)],
          ['Arm', row.arm ?? '–'],
          ['Why this version', row.reason ?? '–'],
          ['Unit', row.unit ?? '–'],
          ['Protocol', row.protocol ?? '–'],
          ['Request', row.requestId === null ? '–' : <Copy key="r" text={row.requestId} />],
          ...(row.shadowOf === null
            ? []
            : ([
                [
                  'Copy of',
                  <Link key="c" to={addressOf.prediction(row.shadowOf)}>
                    {row.shadowOf}
                  </Link>,
                ],
              ] as const)),
        ]}
      />
      <div className="two">
        <Values title="Inputs, as the policy keeps them" values={row.inputs} />
        <Values title="Outputs" values={row.outputs} />
      </div>
    </>
  );
}

function Values({ title, values }: { title: string; values: Record<string, unknown> }) {
  const rows = Object.entries(values);
  return (
    <Section title={title}>
      {rows.length === 0 ? (
        <p className="quiet">Nothing was kept.</p>
      ) : (
        <Table
          label={title}
          idOf={([name]) => name}
          rows={rows}
          columns={[
            { title: 'Name', cell: ([name]) => <code>{name}</code> },
            { title: 'Value', kind: 'wide', cell: ([, value]) => <Value value={value} /> },
          ]}
        />
      )}
    </Section>
  );
}

const KINDS: readonly FeedbackKind[] = ['truth', 'score', 'rating', 'correction', 'text'];

function Say({ id, shown, only }: { id: string; shown: ShownPrediction; only: number | null }) {
  const { client } = useProject();
  const [kind, setKind] = useState<FeedbackKind>('truth');
  const [value, setValue] = useState('');
  const [row, setRow] = useState(String(only ?? shown.rows[0]?.row ?? 0));
  const refusal = useRefusal('predict', shown.rows[0]?.model ?? undefined);
  const many = only === null && shown.rows.length > 1;
  const itemOf = (): FeedbackItem => {
    const given = kind === 'text' ? value : kind === 'score' || kind === 'rating' ? Number(value) : plainValue(value);
    return { predictionId: many || only !== null ? `${id}.${row}` : id, [kind]: given };
  };
  return (
    <Act
      text="Send feedback"
      refusal={refusal}
      consequence="What you say is kept with the prediction; saying it again makes a further revision, and the one before stays in the record."
      run={async () => {
        const { conflicts } = await client.feedback.send([itemOf()], { endpoint: shown.endpoint });
        if (conflicts.length > 0) throw new Error(conflicts[0]!.message);
      }}
      done="It is noted."
    >
      <label className="field">
        Kind
        <select value={kind} onChange={(event) => setKind(event.target.value as FeedbackKind)}>
          {KINDS.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </label>
      {many && (
        <label className="field">
          Row
          <select value={row} onChange={(event) => setRow(event.target.value)}>
            {shown.rows.map((one) => (
              <option key={one.row}>{one.row}</option>
            ))}
          </select>
        </label>
      )}
      <label className="field">
        Value
        <input required value={value} onChange={(event) => setValue(event.target.value)} />
      </label>
    </Act>
  );
}

/** As people write it: a number, true or false, or a text. */
function plainValue(text: string): unknown {
  if (text.trim() !== '' && Number.isFinite(Number(text))) return Number(text);
  return text === 'true' || text === 'false' ? text === 'true' : text;
}
