#include "engine/commands/chat_template.hpp"

#include "base/error.hpp"
#include "base/run_program.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

namespace gpas {
namespace {

using nlohmann::json;
using std::filesystem::path;

// Exit code 3: jinja2 is missing; 4: the template failed, and its message is on standard error.
constexpr const char* render_program = R"(
import datetime, json, sys
try:
    from jinja2 import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
def refuse(message):
    raise TemplateError(message)
given = json.load(sys.stdin)
environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
environment.filters["tojson"] = lambda x, indent=None: json.dumps(x, ensure_ascii=False, indent=indent)
environment.globals.update(raise_exception=refuse, strftime_now=lambda form: datetime.datetime.now().strftime(form))
try:
    template = environment.from_string(given["template"])
    texts = [template.render(messages=messages, add_generation_prompt=True, bos_token=given["bos_token"],
                             eos_token=given["eos_token"]) for messages in given["conversations"]]
except Exception as error:
    print(str(error).replace("\n", " "), file=sys.stderr)
    sys.exit(4)
json.dump(texts, sys.stdout)
)";

std::optional<std::string> content_of(const path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

// chat_template is a text, or a list of {"name": ..., "template": ...}, of which "default" counts.
std::optional<std::string> template_in(const path& config) {
    const std::optional<std::string> text = content_of(config);
    if (!text) return std::nullopt;
    const json root = json::parse(*text, nullptr, false);
    if (!root.is_object()) fail(ExitCode::bad_file, "{}: is not a JSON object", config.string());
    const auto found = root.find("chat_template");
    if (found == root.end() || found->is_null()) return std::nullopt;
    if (found->is_string()) return found->get<std::string>();
    if (found->is_array())
        for (const json& one : *found)
            if (one.is_object() && one.value("name", json()) == "default" && one.contains("template"))
                return one["template"].get<std::string>();
    fail(ExitCode::bad_file, "{}: chat_template: expected a text, or a list with a template named 'default'",
         config.string());
}

}  // namespace

ChatTemplate::ChatTemplate(const std::string& tokenizer_file, const Tokenizer& tokenizer) {
    const path directory = path(gpas::tokenizer_file(tokenizer_file)).parent_path();
    if (tokenizer.kind() != TokenizerKind::hugging_face)
        fail(ExitCode::usage,
             "--chat: {} is a {} file, expected a tokenizer.json: other tokenizers do not find special tokens in text",
             tokenizer_file, tokenizer_kind_name(tokenizer.kind()));
    for (const char* name : {"chat_template.jinja", "tokenizer_config.json"}) {
        const path file = directory / name;
        const auto found = file.extension() == ".jinja" ? content_of(file) : template_in(file);
        if (!found) continue;
        source_ = *found;
        file_ = file.string();
        break;
    }
    if (file_.empty())
        fail(ExitCode::usage,
             "--chat: found no chat template next to {}, expected chat_template.jinja or tokenizer_config.json with "
             "chat_template; without --chat the model continues the prompt",
             tokenizer_file);
    if (tokenizer.bos_id() >= 0) bos_ = tokenizer.piece(tokenizer.bos_id());
    if (tokenizer.eos_id() >= 0) eos_ = tokenizer.piece(tokenizer.eos_id());
}

std::vector<std::string> ChatTemplate::texts_of(const std::vector<Conversation>& conversations) const {
    json given{{"template", source_}, {"bos_token", bos_}, {"eos_token", eos_}, {"conversations", json::array()}};
    for (const Conversation& conversation : conversations) {
        json messages = json::array();
        for (const ChatMessage& message : conversation)
            messages.push_back({{"role", message.role}, {"content", message.content}});
        given["conversations"].push_back(messages);
    }
    const ProgramResult result =
        run_program({"python3", "-c", render_program}, given.dump(-1, ' ', true, json::error_handler_t::replace));
    const std::string reason = result.errors.substr(0, result.errors.find('\n'));
    if (result.exit_code == 4) fail(ExitCode::usage, "{}: the chat template refuses the messages: {}", file_, reason);
    if (result.exit_code != 0)
        fail(ExitCode::environment,
             "--chat needs python3 with jinja2 to run {} (exit code {}: {}); install it with `apt install "
             "python3-jinja2` or `pip install jinja2`",
             file_, result.exit_code, reason);
    return json::parse(result.output).get<std::vector<std::string>>();
}

}  // namespace gpas
