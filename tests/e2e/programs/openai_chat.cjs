// OpenAI's SDK, Chat Completions, which calls the function by itself.
const { execSync } = require("node:child_process");
const { OpenAI } = require("openai");

const [model, prompt] = process.argv.slice(2);
const bash = {
  name: "bash",
  description: "Run a command.",
  parse: JSON.parse,
  function: ({ command }) => execSync(command).toString(),
  parameters: { type: "object", properties: { command: { type: "string" } }, required: ["command"] },
};

async function main() {
  const runner = new OpenAI().chat.completions.runTools({
    model,
    stream: true,
    messages: [{ role: "user", content: prompt }],
    tools: [{ type: "function", function: bash }],
  });
  runner.on("content", (delta) => process.stdout.write(delta));
  await runner.done();
}

main();
