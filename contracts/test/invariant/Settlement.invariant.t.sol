// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {ISettlement} from "../../src/interfaces/ISettlement.sol";
import {IStakeVault} from "../../src/interfaces/IStakeVault.sol";
import {Test, vm} from "../base/Test.sol";
import {Handler} from "./Handler.sol";

/// @notice The contracts hold, pay and refuse exactly what the model says, whatever anyone does in whatever order.
contract SettlementInvariant is Test {
    Handler private handler;

    function setUp() public {
        vm.warp(1_900_000_000);
        vm.roll(100);
        handler = new Handler();
    }

    /// @dev forge asks which contracts it shall call.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_the_contracts_agree_with_the_model() external view {
        handler.check();
    }

    /// @notice A handler that reaches nothing would let everything hold: each call passes, and each refusal is met.
    function test_the_handler_reaches_every_outcome() external {
        Handler[] memory lives = new Handler[](16);
        for (uint256 life = 0; life < lives.length; life++) {
            lives[life] = new Handler();
            for (uint256 i = 0; i < 250; i++) lives[life].act(uint256(keccak256(abi.encode(life, i))));
            lives[life].check();
        }

        string[17] memory actions = [
            "open", "fund", "commit", "claim", "reclaim", "pause", "unpause", "challenge", "demand", "answer",
            "expire", "verdict", "bond", "thaw", "withdraw", "collect", "register"
        ];
        for (uint256 i = 0; i < actions.length; i++) {
            uint256 times = 0;
            for (uint256 life = 0; life < lives.length; life++) times += lives[life].passed(actions[i]);
            vm.assertTrue(times > 0, actions[i]);
        }
        bytes4[32] memory refusals = everyRefusal();
        for (uint256 i = 0; i < refusals.length; i++) {
            uint256 times = 0;
            for (uint256 life = 0; life < lives.length; life++) times += lives[life].met(refusals[i]);
            vm.assertTrue(times > 0, vm.toString(abi.encodePacked(refusals[i])));
        }
    }

    function everyRefusal() private pure returns (bytes4[32] memory) {
        return [
            ISettlement.SettlementUnauthorized.selector,
            ISettlement.SettlementEnded.selector,
            ISettlement.SettlementNotEnded.selector,
            ISettlement.SettlementHalted.selector,
            ISettlement.SettlementPaused.selector,
            ISettlement.SettlementWrongParent.selector,
            ISettlement.SettlementWrongRound.selector,
            ISettlement.SettlementEmptyCommit.selector,
            ISettlement.SettlementWrongTotal.selector,
            ISettlement.SettlementUnderfunded.selector,
            ISettlement.SettlementUnderbonded.selector,
            ISettlement.SettlementUnknownRound.selector,
            ISettlement.SettlementWrongCommit.selector,
            ISettlement.SettlementVoid.selector,
            ISettlement.SettlementNotMatured.selector,
            ISettlement.SettlementMatured.selector,
            ISettlement.SettlementInvalidProof.selector,
            ISettlement.SettlementNothingDue.selector,
            ISettlement.SettlementOverAllocated.selector,
            ISettlement.SettlementNotSealed.selector,
            ISettlement.SettlementNotFraud.selector,
            ISettlement.SettlementUnknownNode.selector,
            ISettlement.SettlementAlreadyDemanded.selector,
            ISettlement.SettlementDemandTooLate.selector,
            ISettlement.SettlementNotDemanded.selector,
            ISettlement.SettlementAnswerTooLate.selector,
            ISettlement.SettlementWrongAnswer.selector,
            ISettlement.SettlementNotExpired.selector,
            ISettlement.SettlementNoQuorum.selector,
            ISettlement.SettlementAlreadyJudged.selector,
            IStakeVault.StakeVaultInsufficient.selector,
            IStakeVault.StakeVaultThawing.selector
        ];
    }
}
