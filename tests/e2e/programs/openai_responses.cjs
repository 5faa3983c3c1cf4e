// OpenAI's SDK, Responses.
const { execSync } = require("node:child_process");
const { OpenAI } = require("openai");

const [model, prompt] = process.argv.slice(2);
const tool = {
  type: "function",
  name: "bash",
  strict: true,
  parameters: {
    type: "object",
    properties: { command: { type: "string" } },
    required: ["command"],
    additionalProperties: false,
  },
};

async function main() {
  const input = [{ role: "user", content: prompt }];
  for (let calls = [null]; calls.length; ) {
    const stream = new OpenAI().responses.stream({ model, input, tools: [tool], store: false });
    stream.on("response.output_text.delta", ({ delta }) => process.stdout.write(delta));
    const { output } = await stream.finalResponse();
    calls = output.filter(({ type }) => type === "function_call");
    for (const { parsed_arguments, ...item } of output) input.push(item);
    for (const { call_id, arguments: text } of calls) {
      const said = execSync(JSON.parse(text).command).toString();
      input.push({ type: "function_call_output", call_id, output: said });
    }
  }
}

main();
