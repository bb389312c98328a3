// One step with ClickHouse's Node.js client, told by the arguments: URL, token, database, step, and what the step
// needs. Prints what it got as lines of JSON.
import { ClickHouseError, TupleParam, createClient } from "@clickhouse/client";

const [url, token, database, step, ...rest] = process.argv.slice(2);
const print = (value) => console.log(JSON.stringify(value));

function connect(more = {}) {
  return createClient({ url, username: "auditor", password: token, database, request_timeout: 120_000, ...more });
}

const steps = {
  // Whole numbers of 64 bits as text, since JavaScript has no room for them.
  async rows(client, query, format) {
    const found = await client.query({ query, format, clickhouse_settings: { output_format_json_quote_64bit_integers: 1 } });
    print(await found.json());
  },

  async parameters(client) {
    const found = await client.query({
      query: `SELECT {s:String} AS s, {n:UInt64} AS n, {t:DateTime64(6, 'UTC')} AS t, {a:Array(String)} AS a,
        {m:Map(String, UInt8)} AS m, {b:Bool} AS b, {nothing:Nullable(String)} AS nothing, {tuple:Tuple(String, Int8)} AS tuple,
        run_id FROM {table:Identifier} WHERE run_id = {run:String}`,
      query_params: {
        s: "it's \\ \"ü\"\n\t{x}",
        n: 18446744073709551615n,
        t: new Date("2026-01-02T03:04:05.678Z"),
        a: ["it's", "\\"],
        m: { k: 1 },
        b: true,
        nothing: null,
        tuple: new TupleParam(["x", -1]),
        table: "events",
        run: "run-1",
      },
      format: "JSONEachRow",
      clickhouse_settings: { output_format_json_quote_64bit_integers: 1 },
    });
    print(await found.json());
  },

  async stream(client, query, format) {
    const found = await client.query({ query, format });
    let count = 0n;
    let sum = 0n;
    let characters = 0;
    for await (const rows of found.stream()) {
      for (const row of rows) {
        const [number, text] = Object.values(row.json());
        count += 1n;
        sum += BigInt(number);
        characters += text.length;
      }
    }
    print([String(count), String(sum), String(characters)]);
  },

  async habits(client) {
    print(await client.ping());
    print(await client.ping({ select: true }));
    const query_id = "a-query-of-ours";
    const settings = { max_threads: 1, max_execution_time: 30, send_progress_in_http_headers: 1, wait_end_of_query: 1 };
    const found = await client.query({
      query: "SELECT getSetting('max_threads') AS threads, currentDatabase() AS database",
      format: "JSON",
      query_id,
      session_id: "a-session-of-ours",
      clickhouse_settings: settings,
    });
    const { data, meta, rows } = await found.json();
    print({ query_id: found.query_id, data, meta, rows });
    const zipped = connect({ compression: { response: true } });
    print(await (await zipped.query({ query: "SELECT 1 AS zipped", format: "JSONEachRow" })).json());
    await zipped.close();
    const bearer = createClient({ url, access_token: token, database });
    print(await (await bearer.query({ query: "SELECT 1 AS bearer", format: "JSONEachRow" })).json());
    await bearer.close();
  },

  async parquet(client, query) {
    const { stream } = await client.exec({ query: `${query} FORMAT Parquet` });
    const parts = [];
    for await (const part of stream) parts.push(part);
    print(Buffer.concat(parts).toString("base64"));
  },

  // More often than there are sessions.
  async abort(client) {
    for (let i = 0; i < 6; i++) {
      const controller = new AbortController();
      const found = await client.query({
        query: "SELECT number FROM numbers(1000000000)",
        format: "JSONEachRow",
        abort_signal: controller.signal,
      });
      const stream = found.stream();
      stream.on("error", () => {});
      await new Promise((resolve) => stream.once("data", resolve));
      controller.abort();
      stream.destroy();
    }
    print(await (await client.query({ query: "SELECT 1 AS one", format: "JSONEachRow" })).json());
  },
};

const client = connect();
try {
  await steps[step](client, ...rest);
} catch (error) {
  print(["error", error instanceof ClickHouseError ? error.code : "", String(error.message)]);
} finally {
  await client.close();
}
