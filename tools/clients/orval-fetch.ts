// The requests of orval's client: to one server, with a login.
import { baseUrl, headers } from "./scenario.ts";

export async function call<T>(path: string, options: RequestInit): Promise<T> {
  const reply = await fetch(baseUrl + path, { ...options, headers: { ...headers, ...options.headers } });
  return { status: reply.status, headers: reply.headers, data: await reply.json() } as T;
}
