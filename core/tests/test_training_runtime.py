"""The runtime that training steps call."""

import pytest
import torch
from attrs import evolve
from torch import nn
from training_toys import Gan, GanConfig, Regressor, make_batch, make_corpus, make_experiment

from allophone.config.experiment import RuntimeConfig
from allophone.errors import ConfigError, PluginError, UserError
from allophone.training.objective import OptimizerPlan
from allophone.training.ranks import Rank
from allophone.training.runtime import TrainerRuntime


def make_runtime(kind=Regressor, trainer=None, **config):
    experiment = make_experiment(trainer, **config)
    torch.manual_seed(0)
    objective = kind(experiment, make_corpus(experiment).build_vocabulary())
    return TrainerRuntime(objective, experiment.runtime, Rank())


def weights_of(runtime):
    return {
        f"{prefix}.{name}": tensor.detach().clone()
        for prefix, module in runtime.modules.items()
        for name, tensor in module.state_dict().items()
    }


def assert_close(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], **tolerance)


def regressor_with(modules, step, optimizers=None):
    """An objective made of parts."""

    class Parts:
        features = ()

        def __init__(self):
            self.modules = modules

        def optimizers(self):
            return optimizers or {
                name: OptimizerPlan(
                    modules=(name,),
                    optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1.0),
                )
                for name in modules
            }

        def train_step(self, rt, batch):
            return step(rt, batch)

    return Parts()


def test_accumulation_equals_the_large_batch():
    large, small = make_runtime(), make_runtime(accumulate=2)
    for step in range(3):
        ids = list(range(4 * step, 4 * step + 4))
        large.take_step([make_batch(ids)])
        small.take_step([make_batch(ids[:2]), make_batch(ids[2:])])
    assert large.step == small.step == 3
    assert_close(weights_of(large), weights_of(small), rtol=1e-5, atol=1e-6)


def test_accumulation_gives_both_optimizers_the_gradients_of_the_large_batch():
    # Without steps: the discriminator's would come between the generator's batches.
    still = GanConfig(learning_rate=0.0)
    ids = [[1, 2], [3, 4], [5, 6]]
    large = make_runtime(Gan, still).take_step([make_batch([1, 2, 3, 4, 5, 6])])[-1]
    small = make_runtime(Gan, still, accumulate=3).take_step([make_batch(some) for some in ids])[-1]
    for name in ("gradient_norm/discriminator", "gradient_norm/model"):
        torch.testing.assert_close(small[name], large[name])


def test_metrics_are_per_batch_and_detached():
    runtime = make_runtime(accumulate=2)
    metrics = runtime.take_step([make_batch([1, 2]), make_batch([3])])
    assert [m["utterances"] for m in metrics] == [2.0, 1.0]
    assert not metrics[0]["loss"].requires_grad
    assert metrics[1]["gradient_norm/model"] > 0
    assert metrics[1]["learning_rate/model"] == 0.05


def test_frozen_modules_pass_gradients_but_get_none():
    runtime = make_runtime(Gan, GanConfig(), accumulate=2)
    judge, model = runtime.modules["discriminator"], runtime.modules["model"]
    seen = []

    def step(rt, batch):
        fake = rt["model"](batch["input"].values)
        rt.update("discriminator", rt["discriminator"](fake.detach()).mean())
        before = [
            parameter.grad.clone() for parameter in judge.parameters() if parameter.grad is not None
        ]
        with rt.frozen("discriminator"):
            assert not any(parameter.requires_grad for parameter in judge.parameters())
            rt.update("model", rt["discriminator"](fake).mean())
        after = [parameter.grad for parameter in judge.parameters() if parameter.grad is not None]
        assert all(parameter.requires_grad for parameter in judge.parameters())
        assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))
        seen.append((len(after), [p.grad is not None for p in model.parameters()]))
        return {}

    runtime.objective.train_step = step
    runtime.take_step([make_batch([1]), make_batch([2])])
    # While accumulating, both hold gradients; at the last batch both have stepped and hold none.
    assert seen == [(4, [True] * 4), (0, [False] * 4)]


def test_frozen_restores_requires_grad_also_after_an_error():
    runtime = make_runtime(Gan, GanConfig())
    judge = runtime.modules["discriminator"]
    judge[0].bias.requires_grad_(False)
    with pytest.raises(ZeroDivisionError), runtime.frozen("discriminator"):
        raise ZeroDivisionError
    assert [parameter.requires_grad for parameter in judge.parameters()] == [
        True,
        False,
        True,
        True,
    ]


def test_misplaced_gradients_are_an_error_with_a_hint():
    runtime = make_runtime(Gan, GanConfig(frozen=False))
    with pytest.raises(RuntimeError, match=r"discriminator\.0\.weight.*got gradients.*rt\.frozen"):
        runtime.take_step([make_batch([1, 2])])


def test_updating_an_optimizer_twice_per_batch_is_an_error():
    def step(rt, batch):
        for _ in range(2):
            rt.update("a", rt["a"](batch["input"].values).mean())
        return {}

    runtime = TrainerRuntime(regressor_with({"a": nn.Linear(4, 1)}, step), RuntimeConfig(), Rank())
    with pytest.raises(RuntimeError, match="only once per batch"):
        runtime.take_step([make_batch([1])])


def test_parameters_without_gradients_are_named():
    modules = {"a": nn.Linear(4, 1), "b": nn.Linear(4, 1)}

    def step(rt, batch):
        rt.update("b", rt["a"](batch["input"].values).mean())
        return {}

    runtime = TrainerRuntime(regressor_with(modules, step), RuntimeConfig(), Rank())
    with pytest.raises(RuntimeError, match=r"loss of 'b' does not depend on b\.weight, b\.bias"):
        runtime.take_step([make_batch([1])])


def test_a_nan_loss_names_the_batch():
    runtime = make_runtime(trainer=evolve(make_experiment().trainer, fails_at=1), accumulate=2)
    runtime.take_step([make_batch([1]), make_batch([2])])
    before = weights_of(runtime)
    with pytest.raises(FloatingPointError, match=r"'model' became nan at step 1.*of u7, u8"):
        runtime.take_step([make_batch([7, 8]), make_batch([9])])
    assert_close(weights_of(runtime), before, rtol=0, atol=0)


def test_a_nan_gradient_names_parameter_and_batch():
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)

    def step(rt, batch):
        # The root of zero is finite, its slope is not.
        rt.update("a", rt["a"](torch.ones(1, 1)).sqrt().sum())
        return {}

    runtime = TrainerRuntime(regressor_with({"a": module}, step), RuntimeConfig(), Rank())
    with pytest.raises(FloatingPointError, match=r"those of a\.weight.*batch of u3"):
        runtime.take_step([make_batch([3])])


@pytest.mark.parametrize(("plan_clip", "expected"), [(None, 0.5), (0.125, 0.125)])
def test_the_plan_overrides_gradient_clipping(plan_clip, expected):
    module = nn.Linear(4, 1)
    before = [parameter.detach().clone() for parameter in module.parameters()]
    plan = OptimizerPlan(
        modules=("a",),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1.0),
        clip_norm=plan_clip,
    )

    def step(rt, batch):
        rt.update("a", 100 * rt["a"](batch["input"].values).mean())
        return {}

    objective = regressor_with({"a": module}, step, {"a": plan})
    runtime = TrainerRuntime(objective, RuntimeConfig(clip_norm=0.5), Rank())
    metrics = runtime.take_step([make_batch([1, 2])])
    moved = torch.cat(
        [
            (new.detach() - old).flatten()
            for new, old in zip(module.parameters(), before, strict=True)
        ]
    )
    assert moved.norm() == pytest.approx(expected, rel=1e-4)
    assert metrics[0]["gradient_norm/a"] > 50


@pytest.mark.parametrize(("per", "expected"), [("step", [1, 0.5, 0.25]), ("epoch", [1, 1, 0.5])])
def test_schedules_count_steps_or_epochs(per, expected):
    plan = OptimizerPlan(
        modules=("a",),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        schedule=lambda taken: 0.5**taken,
        per=per,
    )

    def step(rt, batch):
        rt.update("a", rt["a"](batch["input"].values).mean())
        return {}

    objective = regressor_with({"a": nn.Linear(4, 1)}, step, {"a": plan})
    runtime = TrainerRuntime(objective, RuntimeConfig(), Rank())
    rates = []
    for epoch in (0, 0, 1):
        runtime.epoch = epoch
        rates.append(runtime.take_step([make_batch([1])])[0]["learning_rate/a"])
    assert rates == pytest.approx([0.1 * factor for factor in expected])


def test_bf16_applies_only_inside_autocast():
    runtime = make_runtime(precision="bf16")
    values = make_batch([1, 2])["input"].values
    with runtime.autocast():
        assert runtime["model"].body(values).dtype == torch.bfloat16
    assert runtime["model"].body(values).dtype == torch.float32
    full = make_runtime()
    for number in range(20):
        runtime.take_step([make_batch([number, number + 1])])
        full.take_step([make_batch([number, number + 1])])
    assert runtime["model"].body[0].weight.dtype == torch.float32
    assert_close(weights_of(runtime), weights_of(full), rtol=0.05, atol=0.05)
    assert not torch.equal(
        weights_of(runtime)["model.body.0.weight"], weights_of(full)["model.body.0.weight"]
    )


def test_a_single_autocast_sees_the_updated_weights():
    outputs = []

    def step(rt, batch):
        values = batch["input"].values
        with rt.autocast():
            before = rt["a"](values)
            rt.update("a", before.float().mean())
            outputs.append((before.detach(), rt["a"](values).detach()))
        return {}

    runtime = TrainerRuntime(
        regressor_with({"a": nn.Linear(4, 1)}, step), RuntimeConfig(precision="bf16"), Rank()
    )
    runtime.take_step([make_batch([1, 2])])
    ((before, after),) = outputs
    assert not torch.equal(before, after)


def test_fp16_scales_losses_and_skips_overflows():
    overflow = [True]

    def step(rt, batch):
        loss = rt["a"](batch["input"].values).mean()
        loss = loss + 1e38 * (loss - loss.detach()) if overflow[0] else loss
        rt.update("a", loss)
        rt.update("b", rt["b"](batch["input"].values).mean())
        return {}

    modules = {"a": nn.Linear(4, 1), "b": nn.Linear(4, 1)}
    runtime = TrainerRuntime(regressor_with(modules, step), RuntimeConfig(precision="fp16"), Rank())
    before = weights_of(runtime)
    metrics = runtime.take_step([make_batch([1])])
    after = weights_of(runtime)
    assert metrics[0]["loss_scale"] == 2.0**15
    assert torch.equal(before["a.weight"], after["a.weight"])
    assert not torch.equal(before["b.weight"], after["b.weight"])
    overflow[0] = False
    runtime.take_step([make_batch([1])])
    moved = weights_of(runtime)["a.weight"] - after["a.weight"]
    torch.testing.assert_close(moved, -make_batch([1])["input"].values, rtol=1e-3, atol=1e-3)


def test_fp16_that_overflows_at_every_scale_is_an_error():
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)

    def root(rt, batch):
        rt.update("a", rt["a"](torch.ones(1, 1)).float().sqrt().sum())
        return {}

    runtime = TrainerRuntime(
        regressor_with({"a": module}, root), RuntimeConfig(precision="fp16"), Rank()
    )

    def go_on():
        for _ in range(40):
            runtime.take_step([make_batch([1])])

    with pytest.raises(FloatingPointError, match="even with a loss scale below 1"):
        go_on()


def test_user_errors_in_a_step_list_the_rows():
    def step(rt, batch):
        raise ConfigError("Row 1 is odd.", hint="Leave it out.")

    runtime = TrainerRuntime(
        regressor_with({"model": nn.Linear(1, 1)}, step), RuntimeConfig(), Rank()
    )
    runtime.objective.eval_step = runtime.objective.sample = step
    for ask in (lambda batch: runtime.take_step([batch]), runtime.evaluate, runtime.sample):
        with pytest.raises(ConfigError, match="odd. The rows of this batch are: 0 u7, 1 u9") as got:
            ask(make_batch([7, 9]))
        assert got.value.hint == "Leave it out."


def test_a_mean_of_no_items_is_zero():
    runtime = make_runtime()
    assert runtime.mean(torch.tensor(6.0), torch.tensor(4)) == 1.5
    assert runtime.mean(torch.tensor(0.0), torch.tensor(0)) == 0


def test_evaluating_restores_the_modes():
    runtime = make_runtime()
    model = runtime.modules["model"]
    model.body[2].eval()
    with runtime.evaluating():
        assert not any(part.training for part in model.modules())
        assert not runtime["model"](make_batch([1])["input"].values).requires_grad
    assert model.training
    assert not model.body[2].training
    assert runtime["model"](make_batch([1])["input"].values).requires_grad


def test_compiled_modules_are_the_same_modules(monkeypatch):
    compile_as_it_is = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self: compile_as_it_is(self, backend="eager"))
    compiled, plain = make_runtime(compile=True), make_runtime()
    assert compiled["model"]._compiled_call_impl is not None
    for runtime in (compiled, plain):
        runtime.take_step([make_batch([1, 2])])
    assert_close(weights_of(compiled), weights_of(plain))


def test_state_is_restored_and_new_options_take_effect():
    first = make_runtime()
    for number in range(3):
        first.take_step([make_batch([number])])
    second = make_runtime(trainer=evolve(make_experiment().trainer, learning_rate=0.01))
    second.modules["model"].load_state_dict(first.modules["model"].state_dict())
    second.load_state_dict(first.state_dict())
    assert second.step == 3
    metrics = second.take_step([make_batch([9])])
    assert metrics[0]["learning_rate/model"] == 0.01
    state = second.state_dict()["optimizers"]["model"]["state"]["state"]
    assert float(state[0]["step"]) == 4


@pytest.mark.parametrize(
    ("before", "after"), [("fp32", "fp16"), ("fp16", "bf16"), ("fp16", "fp16")]
)
def test_the_precision_can_change_on_resuming(before, after):
    first, second = make_runtime(precision=before), make_runtime(precision=after)
    for number in range(3):
        first.take_step([make_batch([number])])
    second.load_state_dict(first.state_dict())
    if before == after:
        assert second.state_dict()["scaler"] == first.state_dict()["scaler"]
    second.take_step([make_batch([9])])
    assert second.step == 4


def test_state_of_other_optimizers_is_refused():
    with pytest.raises(UserError, match="has the optimizers"):
        make_runtime(Gan, GanConfig()).load_state_dict(make_runtime().state_dict())


def test_misspelt_names_are_named():
    runtime = make_runtime()
    with pytest.raises(KeyError, match="Did you mean 'model'"):
        runtime["modle"]
    with pytest.raises(KeyError, match="no optimizer 'modle'"):
        runtime.update("modle", torch.zeros(()))
    with pytest.raises(ValueError, match="scalar"):
        runtime.update("model", torch.zeros(2))
    plan = OptimizerPlan(modules=("aa",), optimizer=torch.optim.SGD)
    with pytest.raises(PluginError, match="module 'aa', which does not exist"):
        TrainerRuntime(
            regressor_with({"a": nn.Linear(1, 1)}, None, {"a": plan}), RuntimeConfig(), Rank()
        )
