import { type Endpoint, type PredictRequest, parseJson, stringifyJson, type Tried, type Version } from '@slipway/sdk';
import { useMutation, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useEffect, useId, useState } from 'react';
import { addressOf } from '../address.ts';
import { Code, Copy } from '../parts/copy.tsx';
import { duration } from '../parts/figures.ts';
import { Loaded } from '../parts/loaded.tsx';
import { Empty, Facts } from '../parts/page.tsx';
import { Problem } from '../parts/problem.tsx';
import { Status } from '../parts/status.tsx';
import { valueText } from '../parts/value.tsx';
import { useProject, useRefusal } from '../session.tsx';
import { callLines } from './call-lines.ts';

/** A form made from the signature, filled with the request that validation has tried. */
export function TryIt({ endpoint }: { endpoint: Endpoint }) {
  const { client, project } = useProject();
  const number = endpoint.status.servingVersion ?? endpoint.targetVersion;
  const version = useQuery({
    queryKey: ['registry', project, 'version', endpoint.model, String(number)],
    queryFn: () => client.versions.show(endpoint.model, number!),
    enabled: number !== null,
  });
  if (number === null) return <Empty>No version answers this endpoint now.</Empty>;
  return <Loaded query={version}>{(seen) => <Form endpoint={endpoint} version={seen} />}</Loaded>;
}

type Field = { name: string; kind: 'number' | 'text' | 'flag' | 'json'; hint: string };

function Form({ endpoint, version }: { endpoint: Endpoint; version: Version }) {
  const { client, project } = useProject();
  const refusal = useRefusal('predict', endpoint.model);
  const sample = version.sampleRequest;
  const fields = fieldsOf(version);
  const [asJson, setAsJson] = useState(fields === null);
  const [values, setValues] = useState<Record<string, string>>(() => textsOf(sample));
  const [json, setJson] = useState(() => stringifyJson(sample));
  const [fault, setFault] = useState<string | null>(null);
  const call = useMutation({ mutationFn: (body: string) => client.tryOut(endpoint.name, { body }) });
  const request = (): string =>
    asJson || fields === null ? json : stringifyJson({ records: [recordOf(fields, values)] });
  const send = () => {
    setFault(null);
    let body: string;
    try {
      body = request();
      parseJson(body);
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
      return;
    }
    call.mutate(body);
  };
  let shown = json;
  try {
    shown = request();
  } catch {
    // said when it is sent
  }
  return (
    <div className="try">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        {fields !== null && !asJson ? (
          <div className="fields">
            {fields.map((field) => (
              <FormField
                key={field.name}
                field={field}
                value={values[field.name] ?? ''}
                onChange={(text) => setValues({ ...values, [field.name]: text })}
              />
            ))}
          </div>
        ) : (
          <label className="field">
            Request, as JSON
            <textarea rows={10} spellCheck={false} value={json} onChange={(event) => setJson(event.target.value)} />
          </label>
        )}
        {fault && (
          <p role="alert" className="fault">
            {fault}
          </p>
        )}
        <div className="row-of">
          <button
            type="submit"
            className="main"
            disabled={call.isPending || refusal !== null}
            title={refusal ?? undefined}
          >
            {call.isPending ? 'Asking…' : 'Predict'}
          </button>
          {fields !== null && (
            <button
              type="button"
              onClick={() => {
                if (!asJson) setJson(shown);
                setAsJson(!asJson);
              }}
            >
              {asJson ? 'As a form' : 'As JSON'}
            </button>
          )}
          <button
            type="button"
            onClick={() => {
              setValues(textsOf(sample));
              setJson(stringifyJson(sample));
            }}
          >
            The working example
          </button>
          {refusal && <span className="small">{refusal}</span>}
        </div>
        {call.isError && <Problem error={call.error} />}
      </form>
      {call.data && <Answer tried={call.data} endpoint={endpoint} />}
      {endpoint.url && <Lines url={endpoint.url} endpoint={endpoint.name} project={project} body={shown} />}
    </div>
  );
}

function FormField({ field, value, onChange }: { field: Field; value: string; onChange: (text: string) => void }) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>
        {field.name} <span className="quiet small">{field.hint}</span>
      </label>
      {field.kind === 'flag' ? (
        <select id={id} value={value} onChange={(event) => onChange(event.target.value)}>
          <option>true</option>
          <option>false</option>
        </select>
      ) : (
        <input
          id={id}
          inputMode={field.kind === 'number' ? 'decimal' : undefined}
          spellCheck={false}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </div>
  );
}

function Answer({ tried, endpoint }: { tried: Tried; endpoint: Endpoint }) {
  const { status, body, version, predictionId, timings, tookMs } = tried;
  return (
    <section className="answer" aria-label="Answer" aria-live="polite">
      <p>
        <Status tone={status < 400 ? 'good' : 'bad'}>HTTP {status}</Status>
        {version !== null && (
          <>
            {' '}
            from <Link to={addressOf.version(endpoint.model, version)}>{`${endpoint.model}@${version}`}</Link>
          </>
        )}
      </p>
      <pre>{pretty(body)}</pre>
      <Facts
        facts={[
          ['Prediction', predictionId === null ? '–' : <Copy key="id" text={predictionId} />],
          ...timings.map(({ stage, ms }): [string, string] => [stage, duration(ms)]),
          ['round trip from control', duration(tookMs)],
        ]}
      />
    </section>
  );
}

function Lines({ url, endpoint, project, body }: { url: string; endpoint: string; project: string; body: string }) {
  const lines = callLines({ url, endpoint, project, body });
  const [shown, show] = useState<keyof typeof lines>('curl');
  useEffect(() => {
    const kept = sessionStorage.getItem('slipway-lines') as keyof typeof lines | null;
    if (kept !== null && ['curl', 'TypeScript', 'Python'].includes(kept)) show(kept);
  }, []);
  return (
    <div>
      <fieldset className="choice">
        <legend className="hidden">Language of the lines</legend>
        {(Object.keys(lines) as (keyof typeof lines)[]).map((language) => (
          <button
            key={language}
            type="button"
            aria-pressed={shown === language}
            onClick={() => {
              show(language);
              sessionStorage.setItem('slipway-lines', language);
            }}
          >
            {language}
          </button>
        ))}
      </fieldset>
      <Code title="The same call from elsewhere; add your key where predictions need one" text={lines[shown]} />
    </div>
  );
}

function pretty(body: string): string {
  try {
    const indent = (value: unknown): string =>
      JSON.stringify(value, (_key, inner) => (typeof inner === 'bigint' ? `${inner}` : inner), 2);
    return indent(parseJson(body));
  } catch {
    return body;
  }
}

/** One field for each value of the sample's first record; null where a form cannot hold the request. */
function fieldsOf(version: Version): Field[] | null {
  const sample = version.sampleRequest;
  if (!('records' in sample) || sample.records[0] === undefined) return null;
  const { inputs } = version.signature;
  return Object.entries(sample.records[0]).map(([name, value]) => {
    const tensor = inputs.find((one) => one.name === name) ?? inputs.find((one) => one.features?.includes(name));
    const hint = tensor ? (tensor.datatype === 'BYTES' ? 'text' : tensor.datatype) : '';
    if (typeof value === 'boolean') return { name, kind: 'flag', hint };
    if (typeof value === 'number' || typeof value === 'bigint') return { name, kind: 'number', hint };
    if (typeof value === 'string') return { name, kind: 'text', hint };
    return { name, kind: 'json', hint: `${hint} as JSON` };
  });
}

function textsOf(sample: PredictRequest): Record<string, string> {
  const record = 'records' in sample ? (sample.records[0] ?? {}) : {};
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, valueText(value)]));
}

function recordOf(fields: readonly Field[], values: Record<string, string>): Record<string, unknown> {
  return Object.fromEntries(
    fields.map(({ name, kind }) => {
      const text = values[name] ?? '';
      if (kind === 'text') return [name, text];
      if (kind === 'flag') return [name, text === 'true'];
      try {
        return [name, parseJson(text)];
      } catch {
        // The server says what it expects there, in its own words.
        if (kind === 'number') return [name, text === '' ? null : text];
        throw new Error(`${name} is no JSON`);
      }
    }),
  );
}
