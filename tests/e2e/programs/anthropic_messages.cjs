// Anthropic's SDK, Messages.
const { execSync } = require("node:child_process");
const { Anthropic } = require("@anthropic-ai/sdk");

const [model, prompt] = process.argv.slice(2);
const tool = {
  name: "bash",
  input_schema: { type: "object", properties: { command: { type: "string" } }, required: ["command"] },
};

async function main() {
  const messages = [{ role: "user", content: prompt }];
  for (let calls = [null]; calls.length; ) {
    const stream = new Anthropic().messages.stream({ model, max_tokens: 1024, messages, tools: [tool] });
    stream.on("text", (text) => process.stdout.write(text));
    const { content } = await stream.finalMessage();
    calls = content.filter(({ type }) => type === "tool_use");
    const results = calls.map(({ id, input }) => {
      return { type: "tool_result", tool_use_id: id, content: execSync(input.command).toString() };
    });
    messages.push({ role: "assistant", content }, { role: "user", content: results });
  }
}

main();
