"""The providers, as data: where each is, which protocol it speaks, and what it suggests to begin with.

`source` is the provider's own page about its address. Most base URLs were compared, on the day in
`CHECKED`, with public programs that use them, not with these pages. A provider that speaks a protocol we know
is an entry here and nothing else; see `docs/adding-a-provider.md`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from .adapters import openai
from .adapters.demo import MODELS as DEMO_MODELS

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

CHECKED = "2026-11-28"


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A provider as it is before anybody stored a key for it."""

    id: str
    name: "str | _StrPromise"
    protocol: str
    # Empty where the user has to say it.
    base_url: str = ""
    # The page that names `base_url`.
    source: str = ""
    default_model: str = ""
    requires_key: bool = True
    # A few to begin with; the full list comes from the provider.
    models: tuple[str, ...] = ()
    # Where its customers make their keys.
    key_page: str = ""
    # The environment variable with a key for everybody.
    key_variable: str = ""
    # What it does differently from its protocol, by the names in the adapter's module.
    quirks: frozenset[str] = frozenset()
    # A server that one person has added: the model entries of staff are not about it.
    personal: bool = False


_OPENAI_MODELS = ("gpt-6-luna", "gpt-6-sol", "gpt-5.6-terra")

SPECS = (
    ProviderSpec(
        id="openai",
        name="OpenAI",
        protocol="openai",
        base_url="https://api.openai.com/v1",
        source="https://platform.openai.com/docs/api-reference",
        key_page="https://platform.openai.com/api-keys",
        key_variable="OPENAI_API_KEY",
        default_model="gpt-6-luna",
        models=_OPENAI_MODELS,
        quirks=frozenset({openai.MAX_COMPLETION_TOKENS, openai.FIXED_TEMPERATURE, openai.SEVERAL_KINDS}),
    ),
    ProviderSpec(
        id="openai-responses",
        name="OpenAI (responses)",
        protocol="responses",
        base_url="https://api.openai.com/v1",
        source="https://platform.openai.com/docs/api-reference/responses",
        key_page="https://platform.openai.com/api-keys",
        key_variable="OPENAI_API_KEY",
        default_model="gpt-6-luna",
        models=_OPENAI_MODELS,
        quirks=frozenset({openai.FIXED_TEMPERATURE, openai.SEVERAL_KINDS}),
    ),
    ProviderSpec(
        id="anthropic",
        name="Anthropic",
        protocol="anthropic",
        base_url="https://api.anthropic.com",
        source="https://docs.claude.com/en/api/messages",
        key_page="https://console.anthropic.com/settings/keys",
        key_variable="ANTHROPIC_API_KEY",
        default_model="claude-sonnet-5-5",
        models=(
            "claude-opus-5-5",
            "claude-sonnet-5-5",
            "claude-haiku-5-5",
        ),
    ),
    ProviderSpec(
        id="gemini",
        name="Google Gemini",
        protocol="gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        source="https://ai.google.dev/api/generate-content",
        key_page="https://aistudio.google.com/apikey",
        key_variable="GEMINI_API_KEY",
        default_model="gemini-flash-latest",
        models=(
            "gemini-flash-latest",
            "gemini-pro-latest",
            "gemini-flash-lite-latest",
        ),
    ),
    ProviderSpec(
        id="deepseek",
        name="DeepSeek",
        protocol="openai",
        base_url="https://api.deepseek.com",
        source="https://api-docs.deepseek.com",
        key_page="https://platform.deepseek.com/api_keys",
        key_variable="DEEPSEEK_API_KEY",
        default_model="deepseek-flash",
        models=(
            "deepseek-flash",
            "deepseek-v4-pro",
        ),
    ),
    ProviderSpec(
        id="qwen",
        name=_("Qwen (DashScope)"),
        protocol="openai",
        base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
        source="https://help.aliyun.com/zh/model-studio/compatibility-of-openai-with-dashscope",
        key_page="https://bailian.console.aliyun.com/?tab=model#/api-key",
        key_variable="DASHSCOPE_API_KEY",
        default_model="qwen3.8-flash",
        models=(
            "qwen3.8-flash",
            "qwen3.8-max",
            "qwen-plus-latest",
        ),
    ),
    ProviderSpec(
        id="zhipu",
        name=_("Zhipu GLM"),
        protocol="openai",
        base_url="https://open.bigmodel.cn/api/paas/v4",
        source="https://docs.bigmodel.cn/cn/guide/develop/http/introduction",
        key_page="https://open.bigmodel.cn/usercenter/apikeys",
        key_variable="ZHIPU_API_KEY",
        default_model="glm-5.3-flash",
        models=(
            "glm-5.3",
            "glm-5.3-flash",
        ),
    ),
    ProviderSpec(
        id="moonshot",
        name=_("Moonshot Kimi"),
        protocol="openai",
        base_url="https://api.moonshot.cn/v1",
        source="https://platform.moonshot.cn/docs/api/chat",
        key_page="https://platform.moonshot.cn/console/api-keys",
        key_variable="MOONSHOT_API_KEY",
        default_model="kimi-k2.6",
        models=(
            "kimi-k3",
            "kimi-k3.1-pro",
            "kimi-k2.6",
        ),
    ),
    ProviderSpec(
        id="mistral",
        name="Mistral",
        protocol="openai",
        base_url="https://api.mistral.ai/v1",
        source="https://docs.mistral.ai/api",
        key_page="https://console.mistral.ai/api-keys",
        key_variable="MISTRAL_API_KEY",
        default_model="mistral-large-latest",
        models=(
            "mistral-large-latest",
            "mistral-small-latest",
            "magistral-medium-latest",
        ),
        quirks=frozenset({openai.NO_STREAM_OPTIONS}),
    ),
    ProviderSpec(
        id="groq",
        name="Groq",
        protocol="openai",
        base_url="https://api.groq.com/openai/v1",
        source="https://console.groq.com/docs/openai",
        key_page="https://console.groq.com/keys",
        key_variable="GROQ_API_KEY",
        default_model="openai/gpt-oss-120b",
        models=(
            "openai/gpt-oss-120b",
            "openai/gpt-oss-20b",
            "qwen/qwen3.8-27b",
        ),
        quirks=frozenset({openai.SEVERAL_KINDS}),
    ),
    ProviderSpec(
        id="xai",
        name="xAI",
        protocol="openai",
        base_url="https://api.x.ai/v1",
        source="https://docs.x.ai/docs/api-reference",
        key_page="https://console.x.ai",
        key_variable="XAI_API_KEY",
        default_model="grok-4.3-latest",
        models=(
            "grok-latest",
            "grok-4.7",
            "grok-4.3-latest",
        ),
        quirks=frozenset({openai.SEVERAL_KINDS}),
    ),
    ProviderSpec(
        id="openrouter",
        name="OpenRouter",
        protocol="openai",
        base_url="https://openrouter.ai/api/v1",
        source="https://openrouter.ai/docs/api-reference/overview",
        key_page="https://openrouter.ai/settings/keys",
        key_variable="OPENROUTER_API_KEY",
        default_model="openrouter/auto",
        models=(
            "openrouter/auto",
            "deepseek/deepseek-v4.1-flash",
            "openai/gpt-oss-120b",
        ),
    ),
    ProviderSpec(
        id="azure",
        name="Azure OpenAI",
        protocol="azure",
        key_page="https://portal.azure.com",
        quirks=frozenset({openai.MAX_COMPLETION_TOKENS, openai.FIXED_TEMPERATURE}),
    ),
    ProviderSpec(
        id="siliconflow",
        name=_("SiliconFlow"),
        protocol="openai",
        base_url="https://api.siliconflow.cn/v1",
        source="https://docs.siliconflow.cn/cn/api-reference/chat-completions/chat-completions",
        key_page="https://cloud.siliconflow.cn/account/ak",
        key_variable="SILICONFLOW_API_KEY",
    ),
    ProviderSpec(
        id="siliconflow-intl",
        name=_("SiliconFlow (international)"),
        protocol="openai",
        base_url="https://api.siliconflow.com/v1",
        source="https://docs.siliconflow.com/en/api-reference/chat-completions/chat-completions",
        key_page="https://cloud.siliconflow.com/account/ak",
        key_variable="SILICONFLOW_INTL_API_KEY",
    ),
    ProviderSpec(
        id="volcengine",
        name=_("Volcengine Ark (Doubao)"),
        protocol="openai",
        base_url="https://ark.cn-beijing.volces.com/api/v3",
        source="https://www.volcengine.com/docs/82379/1330310",
        key_page="https://console.volcengine.com/ark/apiKey",
        key_variable="ARK_API_KEY",
        default_model="doubao-seed-2-1-pro-260915",
        models=(
            "doubao-seed-2-1-pro-260915",
            "doubao-seed-2-1-lite-260915",
        ),
    ),
    ProviderSpec(
        id="minimax",
        name=_("MiniMax"),
        protocol="openai",
        base_url="https://api.minimaxi.com/v1",
        source="https://platform.minimaxi.com/docs/api-reference/text-openai-api",
        key_page="https://platform.minimaxi.com/user-center/basic-information/interface-key",
        key_variable="MINIMAX_API_KEY",
        default_model="MiniMax-M3",
        models=(
            "MiniMax-M3",
            "MiniMax-M3.1-Flash",
        ),
    ),
    ProviderSpec(
        id="minimax-intl",
        name=_("MiniMax (international)"),
        protocol="openai",
        base_url="https://api.minimax.io/v1",
        source="https://platform.minimax.io/docs/api-reference/text-openai-api",
        key_page="https://platform.minimax.io/user-center/basic-information/interface-key",
        key_variable="MINIMAX_INTL_API_KEY",
        default_model="MiniMax-M3",
        models=(
            "MiniMax-M3",
            "MiniMax-M3.1-Flash",
        ),
    ),
    ProviderSpec(
        id="stepfun",
        name=_("StepFun"),
        protocol="openai",
        base_url="https://api.stepfun.com/v1",
        source="https://platform.stepfun.com/docs/api-reference/chat/chat-completion-create",
        key_page="https://platform.stepfun.com/interface-key",
        key_variable="STEPFUN_API_KEY",
    ),
    ProviderSpec(
        id="tencent",
        name=_("Tencent Hunyuan"),
        protocol="openai",
        base_url="https://tokenhub.tencentmaas.com/v1",
        source="https://www.tencentcloud.com/document/product/1300/82345",
        key_page="https://console.cloud.tencent.com/hunyuan/api-key",
        key_variable="TENCENT_API_KEY",
        default_model="hy4",
        models=(
            "hy4",
            "deepseek-v4.1-flash",
            "glm-5.3",
        ),
    ),
    ProviderSpec(
        id="xiaomi",
        name=_("Xiaomi MiMo"),
        protocol="openai",
        base_url="https://api.xiaomimimo.com/v1",
        source="https://platform.xiaomimimo.com/docs",
        key_page="https://platform.xiaomimimo.com/console/api-keys",
        key_variable="MIMO_API_KEY",
        default_model="mimo-v2.6-flash",
        models=(
            "mimo-v2.6-flash",
            "mimo-v2.6-pro",
        ),
    ),
    ProviderSpec(
        id="modelscope",
        name=_("ModelScope"),
        protocol="openai",
        base_url="https://api-inference.modelscope.cn/v1",
        source="https://modelscope.cn/docs/model-service/API-Inference/intro",
        key_page="https://modelscope.cn/my/myaccesstoken",
        key_variable="MODELSCOPE_API_KEY",
    ),
    ProviderSpec(
        id="qianfan",
        name=_("Baidu Qianfan"),
        protocol="openai",
        base_url="https://qianfan.baidubce.com/v2",
        source="https://cloud.baidu.com/doc/qianfan-api/s/3m7of64lb",
        key_page="https://console.bce.baidu.com/iam/#/iam/apikey/list",
        key_variable="QIANFAN_API_KEY",
    ),
    ProviderSpec(
        id="spark",
        name=_("iFlytek Spark"),
        protocol="openai",
        base_url="https://spark-api-open.xf-yun.com/v1",
        source="https://www.xfyun.cn/doc/spark/HTTP调用文档.html",
        key_page="https://console.xfyun.cn/services/bm4",
        key_variable="SPARK_API_KEY",
        default_model="4.0Ultra",
        models=(
            "4.0Ultra",
            "generalv3.5",
            "lite",
        ),
    ),
    ProviderSpec(
        id="qwen-intl",
        name=_("Qwen (international)"),
        protocol="openai",
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        source="https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope",
        key_page="https://modelstudio.console.alibabacloud.com/?tab=playground#/api-key",
        key_variable="DASHSCOPE_INTL_API_KEY",
        default_model="qwen3.8-flash",
        models=(
            "qwen3.8-flash",
            "qwen3.8-max",
            "qwen-plus-latest",
        ),
    ),
    ProviderSpec(
        id="zhipu-intl",
        name=_("Z.ai GLM (international)"),
        protocol="openai",
        base_url="https://api.z.ai/api/paas/v4",
        source="https://docs.z.ai/api-reference/introduction",
        key_page="https://z.ai/manage-apikey/apikey-list",
        key_variable="ZAI_API_KEY",
        default_model="glm-5.3-flash",
        models=(
            "glm-5.3",
            "glm-5.3-flash",
        ),
    ),
    ProviderSpec(
        id="moonshot-intl",
        name=_("Moonshot Kimi (international)"),
        protocol="openai",
        base_url="https://api.moonshot.ai/v1",
        source="https://platform.moonshot.ai/docs/api/chat",
        key_page="https://platform.moonshot.ai/console/api-keys",
        key_variable="MOONSHOT_INTL_API_KEY",
        default_model="kimi-k2.6",
        models=(
            "kimi-k3",
            "kimi-k3.1-pro",
            "kimi-k2.6",
        ),
    ),
    ProviderSpec(
        id="together",
        name="Together AI",
        protocol="openai",
        base_url="https://api.together.xyz/v1",
        source="https://docs.together.ai/docs/openai-api-compatibility",
        key_page="https://api.together.ai/settings/api-keys",
        key_variable="TOGETHER_API_KEY",
        default_model="openai/gpt-oss-120b",
        models=(
            "openai/gpt-oss-120b",
            "deepseek-ai/DeepSeek-V4.1-Flash",
            "zai-org/GLM-5.3",
        ),
    ),
    ProviderSpec(
        id="fireworks",
        name="Fireworks AI",
        protocol="openai",
        base_url="https://api.fireworks.ai/inference/v1",
        source="https://docs.fireworks.ai/tools-sdks/openai-compatibility",
        key_page="https://app.fireworks.ai/settings/users/api-keys",
        key_variable="FIREWORKS_API_KEY",
        default_model="accounts/fireworks/models/gpt-oss-120b",
        models=(
            "accounts/fireworks/models/gpt-oss-120b",
            "accounts/fireworks/models/glm-5p3",
            "accounts/fireworks/models/kimi-k3",
        ),
    ),
    ProviderSpec(
        id="cerebras",
        name="Cerebras",
        protocol="openai",
        base_url="https://api.cerebras.ai/v1",
        source="https://inference-docs.cerebras.ai/resources/openai",
        key_page="https://cloud.cerebras.ai",
        key_variable="CEREBRAS_API_KEY",
        default_model="gpt-oss-120b",
        models=(
            "gpt-oss-120b",
            "gemma-4-31b",
        ),
    ),
    ProviderSpec(
        id="perplexity",
        name="Perplexity",
        protocol="openai",
        base_url="https://api.perplexity.ai",
        source="https://docs.perplexity.ai/guides/chat-completions-guide",
        key_page="https://www.perplexity.ai/account/api/keys",
        key_variable="PERPLEXITY_API_KEY",
        default_model="sonar",
        models=(
            "sonar",
            "sonar-pro",
            "sonar-reasoning-pro",
        ),
    ),
    ProviderSpec(
        id="nvidia",
        name="NVIDIA",
        protocol="openai",
        base_url="https://integrate.api.nvidia.com/v1",
        source="https://docs.api.nvidia.com/nim/reference/llm-apis",
        key_page="https://build.nvidia.com/settings/api-keys",
        key_variable="NVIDIA_API_KEY",
    ),
    ProviderSpec(
        id="huggingface",
        name="Hugging Face",
        protocol="openai",
        base_url="https://router.huggingface.co/v1",
        source="https://huggingface.co/docs/inference-providers",
        key_page="https://huggingface.co/settings/tokens",
        key_variable="HF_TOKEN",
        default_model="openai/gpt-oss-120b",
        models=("openai/gpt-oss-120b",),
    ),
    ProviderSpec(
        id="github",
        name="GitHub Models",
        protocol="openai",
        base_url="https://models.github.ai/inference",
        source="https://docs.github.com/en/rest/models/inference",
        key_page="https://github.com/settings/tokens",
        key_variable="GITHUB_MODELS_TOKEN",
    ),
    ProviderSpec(
        id="ollama",
        name="Ollama",
        protocol="ollama",
        base_url="http://localhost:11434",
        source="https://docs.ollama.com/api/introduction",
        requires_key=False,
    ),
    ProviderSpec(
        id="lmstudio",
        name="LM Studio",
        protocol="openai",
        base_url="http://localhost:1234/v1",
        source="https://lmstudio.ai/docs/developer/openai-compat",
        requires_key=False,
    ),
    ProviderSpec(
        id="vllm",
        name="vLLM",
        protocol="openai",
        base_url="http://localhost:8000/v1",
        source="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        requires_key=False,
    ),
    ProviderSpec(
        id="llamacpp",
        name="llama.cpp",
        protocol="openai",
        base_url="http://localhost:8080/v1",
        source="https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
        requires_key=False,
    ),
    ProviderSpec(
        id="custom",
        name=_("OpenAI-compatible server"),
        protocol="openai",
        requires_key=False,
    ),
    ProviderSpec(
        id="demo",
        name=_("Demo"),
        protocol="demo",
        default_model=DEMO_MODELS[0],
        requires_key=False,
        models=DEMO_MODELS,
    ),
)
