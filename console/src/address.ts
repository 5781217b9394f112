/** What is seen is in the address: these read it and change it. */
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';

export function useSearchText(name: string): string | undefined {
  const search = useSearch({ strict: false }) as Record<string, unknown>;
  const value = search[name];
  return value === undefined || value === null ? undefined : String(value);
}

export function useParam(name: string): string {
  const params = useParams({ strict: false }) as Record<string, string | undefined>;
  return params[name] ?? '';
}

/** Sets words of the query; undefined takes one away. */
export function useSetSearch(): (change: Record<string, string | undefined>, replace?: boolean) => void {
  const navigate = useNavigate();
  return (change, replace = false) =>
    void navigate({
      to: '.',
      replace,
      search: ((old: Record<string, unknown>) =>
        Object.fromEntries(
          Object.entries({ ...old, ...change }).filter(([, value]) => value !== undefined && value !== ''),
        )) as never,
    });
}

const part = encodeURIComponent;
export const addressOf = {
  model: (model: string) => `/models/${part(model)}`,
  version: (model: string, version: number | string) => `/models/${part(model)}/versions/${part(String(version))}`,
  compare: (model: string) => `/models/${part(model)}/compare`,
  endpoint: (endpoint: string) => `/endpoints/${part(endpoint)}`,
  rollout: (endpoint: string) => `/endpoints/${part(endpoint)}/rollout`,
  predictions: (endpoint: string) => `/endpoints/${part(endpoint)}/predictions`,
  profiles: (endpoint: string) => `/endpoints/${part(endpoint)}/profiles`,
  prediction: (id: string) => `/predictions/${part(id)}`,
};
